package datagram

import (
	"bytes"
	"testing"
)

func TestDatagramRoundTrip(t *testing.T) {
	var b bytes.Buffer
	for _, p := range [][]byte{[]byte("one"), {}, make([]byte, Max)} {
		if err := Write(&b, p); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, Max)
		n, err := Read(&b, buf)
		if err != nil || !bytes.Equal(buf[:n], p) {
			t.Fatalf("datagram of %d bytes came back with %d: %v", len(p), n, err)
		}
	}
	if err := Write(&b, make([]byte, Max+1)); err == nil {
		t.Error("a datagram beyond the limit is sent")
	}
}

func FuzzDatagrams(f *testing.F) {
	f.Add([]byte{0, 3, 'o', 'n', 'e', 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		buf := make([]byte, 1500)
		for {
			n, err := Read(r, buf)
			if err != nil {
				return
			}
			if n > len(buf) {
				t.Fatalf("%d bytes in a buffer of %d", n, len(buf))
			}
		}
	})
}
