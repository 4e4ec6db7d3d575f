package environ

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
)

func TestImages(t *testing.T) {
	const maps = `5581c0400000-5581c0401000 r--p 00000000 08:01 131 /srv/my app (deleted)
5581c0401000-5581c0402000 r-xp 00001000 08:01 131 /srv/my app (deleted)
5581c2000000-5581c2021000 rw-p 00000000 00:00 0                          [heap]
7f0000001000-7f0000002000 r--p 00001000 08:01 132                        /usr/lib/libc.so.6
7f0000100000-7f0000101000 r--p 00000000 08:01 133                        /usr/lib/libcrypt.so.1
7f0000200000-7f0000201000 r--p 00000000 08:01 132                        /usr/lib/libc.so.6
nonsense
`
	want := []image{{0x5581c0400000, "/srv/my app (deleted)"}, {0x7f0000200000, "/usr/lib/libc.so.6"}}
	got := images([]byte(maps), "/srv/my app (deleted)")
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(image{})); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]bool{
		"libc.so.6": true, "libc-2.28.so": true, "ld-musl-x86_64.so.1": true, "libc.musl-aarch64.so.1": true,
		"libcrypt.so.1": false, "ld-linux-x86-64.so.2": false, "notlibc.so.6": false,
	} {
		if cLibrary.MatchString(name) != want {
			t.Errorf("%s is the C library: %t", name, !want)
		}
	}
}

// space is memory that begins at an address.
type space struct {
	start uint64
	bytes []byte
}

var errFault = errors.New("bad address")

func (s space) read(at uint64, b []byte) error {
	if at < s.start || at-s.start > uint64(len(s.bytes)) || uint64(len(s.bytes))-(at-s.start) < uint64(len(b)) {
		return errFault
	}
	copy(b, s.bytes[at-s.start:])
	return nil
}

func (s space) put(at uint64, values ...uint64) {
	for i, v := range values {
		binary.LittleEndian.PutUint64(s.bytes[at-s.start+uint64(8*i):], v)
	}
}

func (s space) text(at uint64, text string) { copy(s.bytes[at-s.start:], text+"\x00") }

func TestReadEnvironment(t *testing.T) {
	const start, variable = 1 << 20, 1<<20 + 8
	large := "LARGE=" + strings.Repeat("x", 2*pageSize)
	for name, c := range map[string]struct {
		prepare func(space)
		want    process.Environment
		err     string
	}{
		"none":   {func(space) {}, nil, ""},
		"no end": {func(s space) { s.put(variable, start+8*pageSize-8); s.put(start+8*pageSize-8, start) }, nil, "bad address"},
		"a pointer to nowhere": {func(s space) {
			s.put(variable, start+16)
			s.put(start+16, 7)
		}, nil, "bad address"},
		"no address of an array": {func(s space) { s.put(variable, start+17) }, nil, "is no address of a pointer"},
		"some": {func(s space) {
			s.put(variable, start+pageSize-16) // the array crosses a page
			s.put(start+pageSize-16, start+100, start+200, start+300, start+3*pageSize-3, start+100, 0)
			s.text(start+100, "A=a")
			s.text(start+200, "no variable")
			s.text(start+300, "")
			s.text(start+3*pageSize-3, large)
		}, process.Environment{{Name: "A", Value: "a"}, {Name: "LARGE", Value: large[6:]}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := space{start, make([]byte, 8*pageSize)}
			c.prepare(s)
			got, err := readEnvironment(s.read, variable)
			if diff := cmp.Diff(c.want, got); diff != "" || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// An array that leads to itself has no end, and its strings are as long as there is memory.
func FuzzReadEnvironment(f *testing.F) {
	const start = pageSize
	loop := space{start, make([]byte, 2*pageSize)}
	for at := uint64(start); at < start+2*pageSize; at += 8 {
		loop.put(at, at)
	}
	f.Add(loop.bytes, uint64(start))
	f.Add([]byte("A=a\x00"), uint64(start+8))
	f.Fuzz(func(t *testing.T, memory []byte, variable uint64) {
		s := space{start, append(memory, make([]byte, pageSize-len(memory)%pageSize)...)}
		all, err := readEnvironment(s.read, variable)
		if err != nil && len(all) > 0 {
			t.Errorf("%v, and %d variables", err, len(all))
		}
	})
}

func FuzzImages(f *testing.F) {
	f.Add("7f0000001000-7f0000002000 r--p 00000000 08:01 132 /usr/lib/libc.so.6\n", "/srv/app")
	f.Fuzz(func(t *testing.T, maps, exe string) {
		for _, m := range images([]byte(maps), exe) {
			if !strings.Contains(maps, m.path) {
				t.Errorf("%q is not in the maps", m.path)
			}
		}
	})
}
