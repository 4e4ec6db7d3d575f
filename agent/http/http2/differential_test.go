package http2

import (
	"fmt"
	"io"
	"maps"
	"net"
	nethttp "net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	framing "golang.org/x/net/http2"
)

// mirrorHandler answers with all that a handler sees of a request, in the way that the
// path says.
func mirrorHandler(w nethttp.ResponseWriter, r *nethttp.Request) {
	w.Header()["Date"] = nil
	w.Header().Set("Seen", r.Method+" "+r.RequestURI+" "+r.Host)
	w.Header()["Cookie-Seen"] = r.Header["Cookie"]
	switch r.URL.Path {
	case "/panic":
		panic(nethttp.ErrAbortHandler)
	case "/early":
		w.WriteHeader(413)
		return
	case "/hints":
		w.Header().Set("Link", "</a.css>")
		w.WriteHeader(103)
		w.WriteHeader(100)
	case "/none":
		w.WriteHeader(204)
		return
	case "/same":
		w.WriteHeader(304)
		return
	case "/large":
		w.Header().Set("Large", strings.Repeat("y", 50<<10))
	case "/cut":
		io.WriteString(w, "some")
		w.(nethttp.Flusher).Flush()
		panic(nethttp.ErrAbortHandler)
	case "/trailers":
		w.Header().Set("Trailer", "After")
		defer w.Header().Set("After", "all")
	}
	body, err := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%q %v %d\n", body, err, r.ContentLength)
	for _, list := range []nethttp.Header{r.Header, r.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(list)) {
			fmt.Fprintf(w, "%s: %q\n", name, list[name])
		}
	}
}

// asked is a request of the corpus.
type asked struct {
	fields   []string
	body     []string // pieces, with padding
	trailers []string
	open     bool // the request does not end
}

// ask sends a request and returns all that comes as the answer.
func (p *peer) ask(a asked) string {
	p.headers(1, len(a.body)+len(a.trailers) == 0 && !a.open, a.fields...)
	for k, piece := range a.body {
		p.WriteDataPadded(1, k == len(a.body)-1 && len(a.trailers) == 0 && !a.open, []byte(piece), make([]byte, k))
	}
	if len(a.trailers) > 0 {
		p.headers(1, true, a.trailers...)
	}
	var all, data strings.Builder
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return fmt.Sprintf("%s%v", all.String(), err)
		}
		switch f := f.(type) {
		case *framing.DataFrame:
			data.Write(f.Data())
			if f.StreamEnded() {
				return all.String() + data.String() + " END"
			}
			continue
		case *framing.SettingsFrame, *framing.WindowUpdateFrame, *framing.PingFrame:
			continue
		}
		all.WriteString(data.String() + text(f) + "\n")
		data.Reset()
		_, reset := f.(*framing.RSTStreamFrame)
		if meta, ok := f.(*framing.MetaHeadersFrame); reset || ok && meta.StreamEnded() {
			return all.String()
		}
	}
}

// A caller sees the same through Serve as without it.
func TestDifferential(t *testing.T) {
	address := serve(t, nethttp.HandlerFunc(mirrorHandler))
	l := newLab(t, &farEnd{address: address})
	var corpus []asked
	for _, path := range []string{"/", "/a?b=c&d", "/%2f/../x", "/panic", "/early", "/hints", "/none", "/same", "/large", "/cut", "/trailers", "*", "", "//", "nothing"} {
		for _, method := range []string{"GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "CONNECT", "G T"} {
			corpus = append(corpus, asked{fields: []string{":method", method, ":scheme", "http", ":authority", "service:80", ":path", path, "user-agent", "x"}})
		}
		post := []string{":method", "POST", ":scheme", "http", ":authority", "service", ":path", path}
		corpus = append(corpus, asked{fields: post, body: []string{"one", "", "two"}},
			asked{fields: append(post[:8:8], "content-length", "6"), body: []string{"onetwo"}},
			asked{fields: append(post[:8:8], "trailer", "after"), body: []string{"one"}, trailers: []string{"after", "all"}})
	}
	corpus = append(corpus, asked{fields: []string{":method", "POST", ":scheme", "http", ":path", "/early"}, open: true})
	for _, more := range [][]string{
		{"cookie", "a=b", "cookie", "c=d"}, {"host", "other"}, {"host", "service"}, {"Upper", "x"}, {"connection", "close"},
		{"te", "trailers"}, {"te", "gzip"}, {"transfer-encoding", "chunked"}, {"content-length", "7"}, {"content-length", "x"},
		{"content-length", "0", "content-length", "0"}, {"a", "\x00"}, {"a", "x\ny"}, {"a", " x "}, {"", "x"}, {"x y", "z"},
		{":path", "/again"}, {":unknown", "x"}, {"x", "y", ":authority", "b"}, {"expect", "100-continue"}, {"priority", "u=1"},
		{"upgrade", "h2c"}, {"keep-alive", "5"}, {"proxy-connection", "x"}, {"accept-encoding", "gzip"}, {"x", strings.Repeat("y", 30000)},
		{"ü", "x"}, {"x", "ü"}, {"x", ""}, {"range", "bytes=0-"}, {":protocol", "websocket"},
	} {
		for _, method := range []string{"GET", "POST"} {
			corpus = append(corpus, asked{fields: append([]string{":method", method, ":scheme", "https", ":authority", "service", ":path", "/"}, more...)})
		}
		for _, leave := range []int{0, 2, 4, 6} {
			fields := append([]string{":method", "GET", ":scheme", "http", ":authority", "service", ":path", "/"}, more...)
			corpus = append(corpus, asked{fields: slices.Delete(fields, leave, leave+2)})
		}
	}
	date := regexp.MustCompile(` date=[^=]* GMT`)
	same := 0
	for _, a := range corpus {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		direct, through := newPeer(t, conn.(*net.TCPConn)), l.caller()
		io.WriteString(conn, framing.ClientPreface)
		direct.WriteSettings()
		// The server refuses some itself, and adds the time.
		want, got := date.ReplaceAllString(direct.ask(a), ""), date.ReplaceAllString(through.ask(a), "")
		if got != want {
			t.Errorf("%q:\nthrough: %.500s\ndirect:  %.500s", a.fields, got, want)
		} else {
			same++
		}
		conn.Close()
		through.conn.Close()
	}
	t.Logf("%d of %d requests had the same answer", same, len(corpus))
}
