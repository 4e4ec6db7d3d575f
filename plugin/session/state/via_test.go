package state

import (
	"reflect"
	"testing"
)

// An intercept for access lasts as long as there is access by it, in force or covered, and
// with no command.
func TestVia(t *testing.T) {
	s := State{Proxies: []Proxy{{Address: "127.0.0.1:1", Namespace: "shop", Via: "shop/a"}, {Address: "127.0.0.1:2"}},
		Programs: map[string]Program{"shop/a": {Command: "opens", Access: true}, "shop/c": {Command: "runs"}}}
	standing := Device{Namespace: "shop", Via: "shop/b"}
	s.Device = &standing
	covering := Device{Namespace: "shop", Via: "shop/c", Holders: []string{"one"}}.Covering(s.Device)
	s.Device = &covering
	if got, want := s.Via(), map[string]bool{"shop/a": true, "shop/b": true, "shop/c": true}; !reflect.DeepEqual(got, want) {
		t.Errorf("access is by %v, want %v", got, want)
	}
	if got, want := s.Commands(), []string{"one", "runs"}; !reflect.DeepEqual(got, want) {
		t.Errorf("commands are %q, want %q", got, want)
	}
	s.Release("one")
	if got, want := s.Via(), map[string]bool{"shop/a": true, "shop/b": true}; !reflect.DeepEqual(got, want) {
		t.Errorf("after the command, access is by %v, want %v", got, want)
	}
	if got := s.Proxies[0].String(); got != "names as in namespace shop, by a pod (intercept shop/a)" {
		t.Errorf("the proxy is %q", got)
	}
}
