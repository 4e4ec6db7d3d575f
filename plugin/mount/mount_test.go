package mount

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	abs := func(p string) string {
		a, err := filepath.Abs(p)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for value, test := range map[string]struct {
		want  Wish
		fails string
	}{
		"true":      {Wish{How: Auto}, ""},
		"true:ro":   {Wish{How: Auto, ReadOnly: true}, ""},
		":ro":       {Wish{How: Auto, ReadOnly: true}, ""},
		"false":     {Wish{}, ""},
		"copy":      {Wish{How: Copy}, ""},
		"copy:ro":   {Wish{How: Copy, ReadOnly: true}, ""},
		"./copy":    {Wish{How: Auto, Dir: abs("copy")}, ""},
		"pod":       {Wish{How: Auto, Dir: abs("pod")}, ""},
		"/mnt/a:ro": {Wish{How: Auto, Dir: abs("/mnt/a"), ReadOnly: true}, ""},
		"/mnt/a:b":  {Wish{How: Auto, Dir: abs("/mnt/a:b")}, ""},
		"":          {Wish{}, "empty"},
		"false:ro":  {Wish{}, "leave out :ro"},
		"/mnt:rw":   {Wish{}, "the only ending is :ro"},
	} {
		got, err := Parse(value)
		switch {
		case test.fails == "" && (err != nil || got != test.want):
			t.Errorf("%q: %+v %v, want %+v", value, got, err, test.want)
		case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
			t.Errorf("%q: %v, want %q", value, err, test.fails)
		}
	}
}

func TestFolder(t *testing.T) {
	if got := Folder("/mnt", "app", false); got != "/mnt" {
		t.Error(got)
	}
	if got := Folder("/mnt", "app", true); got != filepath.Join("/mnt", "app") {
		t.Error(got)
	}
}
