package topod

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]string{"5432": "5432", "53/udp": "53/udp", "53/UDP": "53/udp", "80/TCP": "80", "65535": "65535",
		"": "", "0": "", "65536": "", "-1": "", "db": "", "53/sctp": "", "53/": "", "80:81": ""} {
		if p, err := Parse(text); (err != nil) != (want == "") || err == nil && p.String() != want {
			t.Errorf("%q is %v, %v", text, p, err)
		}
	}
	list, err := ParseAll([]string{"5432", "53/udp", "53"})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := unformat(Format(list)); err != nil || Format(back) != "5432,53/udp,53" {
		t.Errorf("%v, %v", back, err)
	}
	if list, err := unformat(Format(nil)); err != nil || len(list) > 0 {
		t.Errorf("no ports are %v, %v", list, err)
	}
	if _, err := ParseAll([]string{"53", "53/tcp"}); err == nil {
		t.Error("a port is there twice")
	}
}
