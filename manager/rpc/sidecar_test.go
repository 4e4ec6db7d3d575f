package rpc

import "testing"

func TestParseSidecar(t *testing.T) {
	s, err := ParseSidecar(`{"uid":7439,"ports":[{"name":"http","number":8080,"protocol":"TCP","agent":9900},{"number":8080,"protocol":"UDP","agent":9901,"redirect":true}]}`)
	if err != nil || s.UID != 7439 || len(s.Ports) != 2 || s.Ports[0].String() != "8080/TCP" || !s.Ports[1].Redirect {
		t.Errorf("got %+v, %v", s, err)
	}
	for _, bad := range []string{"", "{}", `{"uid":1,"ports":[]}`, `{"uid":1,"ports":[{"number":0,"protocol":"TCP","agent":1}]}`,
		`{"uid":1,"ports":[{"number":1,"protocol":"SCTP","agent":1}]}`, `{"uid":1,"ports":[{"number":70000,"protocol":"TCP","agent":1}]}`,
		`{"uid":1,"ports":[{"number":1,"protocol":"TCP","agent":9},{"number":2,"protocol":"TCP","agent":9}]}`,
		`{"uid":1,"ports":[{"number":1,"protocol":"TCP","agent":9},{"number":1,"protocol":"TCP","agent":8}]}`} {
		if s, err := ParseSidecar(bad); err == nil {
			t.Errorf("%q is %+v", bad, s)
		}
	}
}

func FuzzParseSidecar(f *testing.F) {
	f.Add(`{"uid":7439,"ports":[{"number":8080,"protocol":"TCP","agent":9900}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := ParseSidecar(text); err == nil && (s.UID <= 0 || len(s.Ports) == 0) {
			t.Errorf("%q is %+v", text, s)
		}
	})
}
