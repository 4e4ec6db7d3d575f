package render

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	for _, c := range []struct {
		name   string
		header []string
		rows   [][]string
		want   string
	}{
		{"header", []string{"NAMESPACE", "NAME"}, [][]string{{"shop", "quote"}, {"a-long-namespace", "cart"}},
			"NAMESPACE          NAME\nshop               quote\na-long-namespace   cart\n"},
		{"none", nil, [][]string{{"pod", "quote-1", "Waiting", ""}, {"event", "q", "Pulled", "a long message, which is not broken into lines however long it is, since the terminal does that"}},
			"pod     quote-1   Waiting\nevent   q         Pulled    a long message, which is not broken into lines however long it is, since the terminal does that\n"},
		{"shorter rows", []string{"A", "B"}, [][]string{{"long"}, {"x", "y\nz\t"}, {"ä", "b"}},
			"A      B\nlong\nx      y z\nä      b\n"},
	} {
		var b strings.Builder
		if err := Table(&b, c.header, c.rows); err != nil {
			t.Fatal(err)
		}
		if b.String() != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, b.String(), c.want)
		}
	}
}
