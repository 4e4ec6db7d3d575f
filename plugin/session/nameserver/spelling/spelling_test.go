package spelling

import (
	"testing"

	"github.com/miekg/dns"
)

func TestSpellingIsUndone(t *testing.T) {
	const asked = "www.shop.example.com."
	for name, want := range map[string]string{
		"wWw.ShoP.exAmPle.coM.":   "www.shop.example.com.",
		"exAmPle.coM.":            "example.com.",
		"NS1.exAmPle.coM.":        "NS1.example.com.",
		"Elsewhere.org.":          "Elsewhere.org.",
		"a.wWw.ShoP.exAmPle.coM.": "a.www.shop.example.com.",
		".":                       ".",
	} {
		m := &dns.Msg{Answer: []dns.RR{&dns.CNAME{Hdr: dns.RR_Header{Name: name}, Target: name}}}
		Undo(m, asked)
		if c := m.Answer[0].(*dns.CNAME); c.Target != want || c.Hdr.Name != want {
			t.Errorf("%s: %s, %s, want %s", name, c.Hdr.Name, c.Target, want)
		}
	}
	if got := Random("a.1."); got != "A.1." {
		t.Errorf("spelled %q", got)
	}
	if got := Random("10.1."); got != "10.1." {
		t.Errorf("spelled %q", got)
	}
}
