package files

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/volume"
)

// talk speaks the bulk protocol.
type talk struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func bulk(t testing.TB, s *Server) *talk {
	conn := stream(t, s)
	if _, err := conn.Write([]byte{volume.Bulk}); err != nil {
		t.Fatal(err)
	}
	return &talk{t, conn, bufio.NewReader(conn)}
}

func (b *talk) ask(q volume.Request) (all []*volume.Record) {
	b.t.Helper()
	if err := volume.WriteRequest(b.conn, q); err != nil {
		b.t.Fatal(err)
	}
	for {
		rec, err := volume.ReadRecord(b.r)
		if err == io.EOF {
			return all
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if len(rec.Data) > 0 && rec.Attr.Mode != 0 && rec.Sum != volume.Checksum(rec.Data) {
			b.t.Errorf("%s: the sum is wrong", rec.Name)
		}
		all = append(all, rec)
	}
}

func TestBulk(t *testing.T) {
	root := container(t)
	big := strings.Repeat("0123456789", 100_000)
	if err := os.WriteFile(filepath.Join(root, "data/big"), []byte(big), 0o644); err != nil {
		t.Fatal(err)
	}
	b := bulk(t, serve(t, root, false, volumes...))
	var tree volume.Tree
	if err := json.Unmarshal(b.ask(volume.Request{Kind: volume.Hello})[0].Data, &tree); err != nil || len(tree.Mounts) != 3 {
		t.Errorf("the tree is %+v, %v", tree, err)
	}

	var listed []string
	for _, rec := range b.ask(volume.Request{Kind: volume.List, Length: 1, Paths: []string{"/"}}) {
		listed = append(listed, fmt.Sprintf("%s %o %s", rec.Name, rec.Attr.Mode&volume.TypeMask>>12, rec.Link))
	}
	slices.Sort(listed)
	want := []string{"data 4 ", "data/a 10 ", "data/abs 12 ../data/dir/b", "data/big 10 ", "data/cwd 12 ", "data/dir 4 ", "data/dir/b 10 ", "data/dir/up 12 ../a",
		"data/folder 12 dir", "data/link 12 dir/b", "data/loop 12 loop", "data/magic 12 ", "data/out 12 ", "data/outdir 12 ", "data/passwd 12 ", "data/ram 4 ",
		"data/ram/x 10 ", "data/root 12 ", "data/tricky 12 ", "etc 4 ", "etc/app.conf 10 ", "run 4 ", "run/secrets 4 ", "run/secrets/..2026_01 4 ",
		"run/secrets/..2026_01/token 10 ", "run/secrets/..data 12 ..2026_01", "run/secrets/token 12 ..data/token", "var 4 ", "var/run 12 ../run"}
	if !slices.Equal(listed, want) {
		t.Errorf("listed are\n%s", strings.Join(listed, "\n"))
	}
	if all := b.ask(volume.Request{Kind: volume.List, Paths: []string{"/data/outdir"}}); len(all) != 1 || all[0].Errno != uint32(unix.EACCES) {
		t.Errorf("a folder outside: %+v", all)
	}

	got := b.ask(volume.Request{Kind: volume.Get, Length: 100, Paths: []string{"/data/a", "/data/big", "/data/out", "/data/none", "/etc/app.conf", "/data/magic/etc/passwd"}})
	texts := ""
	for _, rec := range got {
		texts += fmt.Sprintf("%s %v %d, ", rec.Data, rec.Whole, rec.Errno)
	}
	if texts != "a true 0,  false 0,  false 13,  false 2, conf true 0,  false 13, " {
		t.Errorf("got %s", texts)
	}

	rest := b.ask(volume.Request{Kind: volume.Range, Offset: uint64(len(big) - 5), Length: volume.MaxData, Paths: []string{"/data/big"}})
	if len(rest) != 1 || string(rest[0].Data) != "56789" || rest[0].Attr.Size != uint64(len(big)) {
		t.Errorf("the end of the file is %+v", rest)
	}
	if all := b.ask(volume.Request{Kind: volume.Range, Length: 1, Paths: []string{"/etc/passwd"}}); all[0].Errno != uint32(unix.EACCES) {
		t.Errorf("a part of a file outside: %+v", all[0])
	}
}

// Whoever breaks the protocol loses the stream.
func TestBulkRefuses(t *testing.T) {
	for _, q := range []volume.Request{{}, {Kind: 99, Paths: []string{"/"}}, {Kind: volume.List}, {Kind: volume.Range, Length: volume.MaxData + 1, Paths: []string{"/data/a"}},
		{Kind: volume.Range, Offset: 1 << 63, Length: 1, Paths: []string{"/data/a"}}} {
		b := bulk(t, serve(t, container(t), false, volumes...))
		if err := volume.WriteRequest(b.conn, q); err != nil {
			t.Fatal(err)
		}
		if _, err := volume.ReadRecord(b.r); err != io.ErrUnexpectedEOF {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
