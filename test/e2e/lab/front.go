//go:build linux

package lab

import (
	"bytes"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Front is an API server at an address of the laptop. It forwards every request to
// the cluster's API server, in the name of the laptop's user. It has a certificate
// authority of its own, and accepts only the client certificate that it issued last.
// A test can therefore revoke a certificate, or put another cluster at the same
// address.
type Front struct {
	lab    *Lab
	laptop *Laptop
	proxy  *httputil.ReverseProxy
	addr   string

	authority *Authority
	server    *http.Server

	mu       sync.Mutex
	accepted []byte // the user's certificate
	open     map[net.Conn]bool
}

// Front starts a Front. Login gives the laptop a kubeconfig for it.
func (p *Laptop) Front() *Front {
	p.lab.Helper()
	path, err := p.lab.Tool(p.lab.Context(), "kubeconfig", "--name", p.lab.Cluster.Name)
	p.lab.Must(err)
	admin, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(path))
	p.lab.Must(err)
	config, err := rest.TLSConfigFor(admin)
	p.lab.Must(err)
	to, err := url.Parse(admin.Host)
	p.lab.Must(err)
	f := &Front{lab: p.lab, laptop: p, addr: "127.0.0.1:0", proxy: httputil.NewSingleHostReverseProxy(to)}
	f.proxy.Transport = &http.Transport{TLSClientConfig: config, DialContext: p.Dial}
	f.proxy.FlushInterval = -1 // watches
	f.proxy.ErrorLog = log.New(io.Discard, "", 0)
	f.Open()
	p.lab.Cleanup(f.Close)
	return f
}

// Open starts the server again, at the same address and with a new authority. It
// accepts no user before Login.
func (f *Front) Open() {
	f.lab.Helper()
	ln, err := f.laptop.Space.Listen(f.addr)
	f.lab.Must(err)
	f.addr = ln.Addr().String()
	f.authority = f.lab.Authority()
	f.Revoke()
	f.mu.Lock()
	f.open = map[net.Conn]bool{}
	f.mu.Unlock()
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0), ConnState: func(c net.Conn, s http.ConnState) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open[c] = true // also those that were hijacked, which the server forgets
		if s == http.StateClosed {
			delete(f.open, c)
		}
	}}
	f.server.TLSConfig = &tls.Config{ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{f.authority.Issue("the API server", net.IPv4(127, 0, 0, 1)).Certificate}}
	server := f.server
	go server.ServeTLS(ln, "", "")
}

// Close stops the server and breaks every connection to it.
func (f *Front) Close() {
	_ = f.server.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		c.Close()
	}
}

// Revoke makes the server reject the user's certificate.
func (f *Front) Revoke() { f.accept(nil) }

func (f *Front) accept(der []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.accepted = der
}

// Login writes the laptop's kubeconfig with a new certificate. The server accepts no
// other from then on.
func (f *Front) Login() {
	f.lab.Helper()
	pair := f.authority.Issue(f.laptop.User)
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters["front"] = &clientcmdapi.Cluster{Server: "https://" + f.addr, CertificateAuthorityData: f.authority.PEM}
	cfg.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	cfg.Contexts["front"] = &clientcmdapi.Context{Cluster: "front", AuthInfo: "user", Namespace: f.lab.Namespace}
	cfg.CurrentContext = "front"
	f.laptop.Kubeconfig = filepath.Join(f.laptop.Home, "front")
	f.accept(pair.Certificate.Certificate[0])
	f.lab.Must(clientcmd.WriteToFile(*cfg, f.laptop.Kubeconfig))
}

// ServeHTTP forwards a request, or answers 401 without the accepted certificate.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	accepted := f.accepted
	f.mu.Unlock()
	if len(r.TLS.PeerCertificates) == 0 || !bytes.Equal(r.TLS.PeerCertificates[0].Raw, accepted) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
		return
	}
	r.Header.Set("Impersonate-User", f.laptop.User)
	r.Header.Set("Impersonate-Group", "developers")
	f.proxy.ServeHTTP(w, r)
}
