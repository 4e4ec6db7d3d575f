package volume

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRelativeLink(t *testing.T) {
	served := func(p string) bool {
		return slices.ContainsFunc([]string{"/data", "/var/run/secrets"}, func(m string) bool {
			return p == m || len(p) > len(m) && p[:len(m)+1] == m+"/"
		})
	}
	for _, test := range []struct{ link, target, want string }{
		{"/data/token", "..data/token", "..data/token"},
		{"/data/..data", "..2026_01", "..2026_01"},
		{"/data/a/b", "../c", "../c"},
		{"/data/a/b", "./../c", "./../c"},
		{"/data/a/b", "../../var/run/secrets/token", "../../var/run/secrets/token"},
		{"/data/a", "/var/run/secrets/token", "../var/run/secrets/token"},
		{"/data/a/b", "/data", "../../data"},
		{"/data/a", "/data/./b", "../data/b"},
		{"/data/a", "", ""},
		{"/data/a", "/", ""},
		{"/data/a", "/etc/passwd", ""},
		{"/data/a", "/data/../etc/passwd", ""},
		{"/data/a", "/../data/a", ""},
		{"/data/a", "../etc/passwd", ""},
		{"/data/a", "../../data/b", ""},
		{"/data/a", "b/../../..", ""},
		{"/data/a", "b/..", ""},
		{"/data/a", "../database", ""},
	} {
		got, ok := RelativeLink(test.link, test.target, served)
		if !ok {
			got = ""
		}
		if ok != (test.want != "") || got != test.want {
			t.Errorf("%s -> %s: %q %v, want %q", test.link, test.target, got, ok, test.want)
		}
		if ok && !Inside(test.link, got) {
			t.Errorf("%s -> %s is not inside", test.link, got)
		}
	}
	for _, target := range []string{"", "/x", "../..", "a/../../..", "../../x"} {
		if Inside("/data/a", target) {
			t.Errorf("%q is inside", target)
		}
	}
}

func TestErrno(t *testing.T) {
	for _, n := range []uint32{1, 17, 116} {
		if got, ok := ErrnoOf("sftp: \"" + ErrorText(n, "words: more") + "\" (SSH_FX_FAILURE)"); !ok || got != n {
			t.Errorf("%d: %d %v", n, got, ok)
		}
	}
	for _, text := range []string{"", "errno", "errno x: y", "errno 0: no", "errno 5", "errno 99999999: y"} {
		if n, ok := ErrnoOf(text); ok {
			t.Errorf("%q is %d", text, n)
		}
	}
}

func TestRequests(t *testing.T) {
	var b bytes.Buffer
	sent := []Request{{Kind: Hello}, {Kind: Get, Length: 1 << 16, Paths: []string{"/a", "/b\xff", ""}}, {Kind: Range, Offset: 1 << 40, Length: MaxData, Paths: []string{"/a"}}}
	for _, q := range sent {
		if err := WriteRequest(&b, q); err != nil {
			t.Fatal(err)
		}
	}
	r := bufio.NewReader(&b)
	for _, q := range sent {
		got, err := ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(q, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := ReadRequest(r); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func record() *Record {
	return &Record{Name: "a/b", Link: "../c", Whole: true, Sum: 1<<32 - 1, Data: []byte("data"),
		Attr: Attr{Mode: 0o100644, UID: 1, GID: 2, Nlink: 3, Size: 4, Ino: 1<<64 - 1, Rdev: 6, Blocks: 7, MtimeNS: -1, CtimeNS: 1 << 62, AtimeNS: 10}}
}

func TestRecords(t *testing.T) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	for _, rec := range []*Record{record(), {Errno: 13, Data: []byte{}}} {
		if err := WriteRecord(w, rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := EndRecords(w); err != nil {
		t.Fatal(err)
	}
	whole := bytes.Clone(b.Bytes())
	r := bufio.NewReader(&b)
	for _, rec := range []*Record{record(), {Errno: 13, Data: []byte{}}} {
		got, err := ReadRecord(r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(rec, got); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := ReadRecord(r); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
	for n := range len(whole) - 1 {
		r := bufio.NewReader(bytes.NewReader(whole[:n]))
		var err error
		for err == nil {
			_, err = ReadRecord(r)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// No bytes of a peer make the readers panic or take much memory.
func FuzzReaders(f *testing.F) {
	var b bytes.Buffer
	w := bufio.NewWriter(&b)
	if err := errors.Join(WriteRecord(w, record()), EndRecords(w)); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	b.Reset()
	if err := WriteRequest(&b, Request{Kind: List, Paths: []string{"/a"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		for r := bufio.NewReader(bytes.NewReader(b)); ; {
			rec, err := ReadRecord(r)
			if err != nil {
				break
			}
			if len(rec.Data) > len(b) {
				t.Errorf("%d bytes of data from %d", len(rec.Data), len(b))
			}
		}
		for r := bufio.NewReader(bytes.NewReader(b)); ; {
			if _, err := ReadRequest(r); err != nil {
				break
			}
		}
		// An error is the result too; the decoder must not panic.
		_, _ = DecodeAttr(b)
	})
}
