package direct

import (
	"net"
	"reflect"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]*Entrance{
		"":   nil,
		"{}": {},
		`{"addresses":["10.0.0.1:30443","[fd00::1]:30443","direct.example.com:443"],"serverName":"direct.example.com"}`: {
			Addresses: []string{"10.0.0.1:30443", "[fd00::1]:30443", "direct.example.com:443"}, ServerName: "direct.example.com"},
		`{"problem":"the Service has no address"}`: {Problem: "the Service has no address"},
	} {
		got, err := Parse(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"[", `{"addresses":["10.0.0.1"]}`, `{"addresses":["10.0.0.1:0"]}`, `{"addresses":[":1"]}`, `{"addresses":["a b:1"]}`,
		`{"addresses":["a:1","a:1","a:1","a:1","a:1"]}`, `{"addresses":["a:http"]}`, `{"serverName":"a\n"}`, `{"problem":"a\u001b[31m"}`,
		`{"problem":"` + strings.Repeat("a", 300) + `"}`, `{"problem":"` + strings.Repeat("a", maxJSON) + `"}`,
	} {
		if e, err := Parse(text); err == nil {
			t.Errorf("%s is taken for %+v", text, e)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"addresses":["10.0.0.1:30443","[fd00::1]:30443"],"serverName":"a.b","problem":"c d"}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Parse(text)
		if err != nil || e == nil {
			return
		}
		for _, a := range e.Addresses {
			if _, _, err := net.SplitHostPort(a); err != nil {
				t.Errorf("%q: %v", a, err)
			}
		}
		if again, err := Parse(e.String()); err != nil || !reflect.DeepEqual(again, e) && len(e.Addresses) > 0 {
			t.Errorf("%+v becomes %+v, %v", e, again, err)
		}
	})
}
