//go:build unix

package journal

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func claim(t *testing.T, dir, name string) *Page {
	t.Helper()
	p, err := Claim(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOneOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	p := claim(t, dir, "intercept0")
	if _, err := Claim(dir, "intercept0"); !errors.Is(err, ErrTaken) {
		t.Errorf("got %v, want ErrTaken", err)
	}
	if left, err := Left(dir); err != nil || len(left) != 0 {
		t.Errorf("of a living owner is left %v, %v", left, err)
	}
	if err := p.Done(); err != nil {
		t.Fatal(err)
	}
	if left, err := Left(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	claim(t, dir, "intercept0").Close()
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestWhatTheDeadLeave(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("198.18.0.1/28")}
	tests := map[string]struct {
		torn string // what was being written
		want Record
	}{
		"whole":        {"", Record{Interface: "intercept0", DNS: "resolv.conf", Addresses: own}},
		"torn":         {`{"interface":"inter`, Record{Interface: "intercept0", DNS: "resolv.conf", Addresses: own}},
		"without end":  {`{"interface":"intercept7"}`, Record{Interface: "intercept0", DNS: "resolv.conf", Addresses: own}},
		"not a record": {"nonsense\n", Record{Interface: "intercept0", DNS: "resolv.conf", Addresses: own}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := claim(t, dir, "intercept0")
			for _, r := range []Record{{Interface: "intercept0"}, {Interface: "intercept0", DNS: "resolv.conf", Addresses: own}} {
				if err := p.Write(r); err != nil {
					t.Fatal(err)
				}
			}
			p.f.WriteString(tt.torn)
			p.Close()
			left, err := Left(dir)
			if err != nil || len(left) != 1 || !reflect.DeepEqual(left[0].Last(), tt.want) {
				t.Fatalf("left %v, %v", left, err)
			}
			// The next owner goes on behind what was torn.
			if err := left[0].Write(Record{Interface: "intercept0", DNS: "systemd-resolved"}); err != nil {
				t.Fatal(err)
			}
			left[0].Close()
			p = claim(t, dir, "intercept0")
			if p.Last().DNS != "systemd-resolved" {
				t.Errorf("got %+v", p.Last())
			}
			if err := p.Done(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNoJournalYet(t *testing.T) {
	if left, err := Left(filepath.Join(t.TempDir(), "none")); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
