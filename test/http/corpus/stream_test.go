package corpus

import (
	"reflect"
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	s := Stream{text: "a" + cut + "b" + after("200") + "c" + end}
	want := []Step{{Send: "a"}, {Send: "b"}, {Await: "200"}, {Send: "c"}, {End: true}}
	if got := s.Steps(); !reflect.DeepEqual(got, want) {
		t.Errorf("the steps are %+v, want %+v", got, want)
	}
	if got := s.Sent(); got != "abc" {
		t.Errorf("%q is sent", got)
	}
	if got := (Stream{text: pieces("abcde", 2)}).Steps(); len(got) != 3 || got[2].Send != "e" {
		t.Errorf("pieces of two are %+v", got)
	}
}

func TestStreams(t *testing.T) {
	names := map[string]bool{}
	texts := map[string]string{}
	good, bad := Good(), Bad()
	if len(good) < 150 || len(bad) < 150 {
		t.Errorf("%d good streams and %d bad ones are too few", len(good), len(bad))
	}
	for _, s := range append(good, bad...) {
		if names[s.Name] || strings.ContainsAny(s.Name, " \t") {
			t.Errorf("the name %q is there twice, or is no word", s.Name)
		}
		names[s.Name] = true
		if s.Why == "" {
			t.Errorf("%s has no reason", s.Name)
		}
		if other := texts[s.text]; other != "" {
			t.Errorf("%s is the same as %s", s.Name, other)
		}
		texts[s.text] = s.Name
		if strings.ContainsAny(s.Sent(), cut+await+awaits+end) {
			t.Errorf("%s sends marks", s.Name)
		}
		for _, step := range s.Steps() {
			if step == (Step{}) {
				t.Errorf("%s has an empty step", s.Name)
			}
		}
	}
}
