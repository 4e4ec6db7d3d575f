// Package preview serves preview URLs in the traffic-manager: it gives each preview a
// name, admits its visitors, and leads them to the ingress that the Intercept names.
package preview

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

const (
	headTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	// maxHead bounds the head of a request.
	maxHead = 64 << 10
	// shutdown is how long answers may take to end when the process does.
	shutdown = 3 * time.Second
	// dialTimeout bounds a connection to an ingress.
	dialTimeout = 10 * time.Second
	// logEvery is the least time between two lines of the log about one preview.
	logEvery = time.Minute
	// maxOpen is how many requests of one preview a replica serves at the same time,
	// WebSockets among them: whoever has the URL can send any number.
	maxOpen = 512
)

// urlField is the name of the index of Intercepts by the URL of their preview.
const urlField = "kubectl-intercept.dev/preview-url"

// Index makes Intercepts findable by the URL of their preview. It must be called before
// the cache starts.
func Index(ctx context.Context, x client.FieldIndexer) error {
	if err := x.IndexField(ctx, &v1alpha1.Intercept{}, urlField, urls); err != nil {
		return fmt.Errorf("index previews: %w", err)
	}
	return nil
}

func urls(o client.Object) []string {
	ic, ok := o.(*v1alpha1.Intercept)
	if !ok || ic.Spec.Preview == nil || ic.Status.Preview == nil || ic.Status.Preview.URL == "" || ic.DeletionTimestamp != nil {
		return nil
	}
	return []string{ic.Status.Preview.URL}
}

// Config is what a Server needs.
type Config struct {
	// Reader is a cache with Index.
	Reader client.Reader
	Policy *Policy
	// Key signs the cookies of visitors who know the password. All replicas have the same.
	Key []byte
	// Listen is the address of the port.
	Listen string
	Log    *slog.Logger
}

// Server serves preview URLs with plain HTTP: the Ingress or Gateway in front of it ends
// TLS. Every replica serves all previews.
type Server struct {
	Config

	hashing hashing
	now     func() time.Time

	mu   sync.Mutex
	open map[types.UID]*openPreview
}

// New returns a Server.
func New(cfg Config) *Server {
	return &Server{Config: cfg, hashing: make(hashing, maxCompared), now: time.Now, open: map[types.UID]*openPreview{}}
}

// openPreview is a preview that has had a visitor since the traffic-manager started.
type openPreview struct {
	intercept *v1alpha1.Intercept
	gateway   *gateway.Gateway
	attempts  attempts
	requests  atomic.Int64 // that are being served

	mu     sync.Mutex
	logged time.Time // when the log last said that it leads nowhere
}

// NeedLeaderElection says that every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen for previews: %w", err)
	}
	server := &http.Server{Handler: s, ReadHeaderTimeout: headTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHead,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdown)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve previews: %w", err)
	}
	<-done
	return nil
}

// ServeHTTP serves one request of a visitor.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o, err := s.at(r.Context(), r.Host)
	var unmet *gateway.ConditionError
	switch {
	case errors.As(err, &unmet): // the status of the Intercept says so
		show(w, http.StatusBadGateway, pageAway)
		return
	case err != nil:
		s.Log.Warn("preview cannot be found", "error", err)
		show(w, http.StatusServiceUnavailable, pageAway)
		return
	case o == nil:
		show(w, http.StatusNotFound, pageEnded)
		return
	}
	defer o.requests.Add(-1)
	if o.requests.Add(1) > maxOpen {
		w.Header().Set("Retry-After", "1")
		show(w, http.StatusServiceUnavailable, pageBusy)
		return
	}
	if !s.admit(w, r, o) {
		return
	}
	if _, err := s.Policy.Ingress(r.Context(), o.intercept); err != nil {
		s.logAway(r.Context(), o, err)
		show(w, http.StatusBadGateway, pageAway)
		return
	}
	o.gateway.ServeHTTP(w, r)
}

// logAway logs why a preview leads nowhere, once in logEvery: visitors ask often. It logs
// nothing once ctx, that of the request, has ended: the visitor went away, or the preview
// ended.
func (s *Server) logAway(ctx context.Context, o *openPreview, err error) {
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	now := s.now()
	due := now.Sub(o.logged) >= logEvery
	if due {
		o.logged = now
	}
	o.mu.Unlock()
	if due {
		s.Log.Info("preview leads nowhere", "intercept", client.ObjectKeyFromObject(o.intercept), "error", err)
	}
}

// at returns the preview at a host; nil if there is none.
func (s *Server) at(ctx context.Context, host string) (*openPreview, error) {
	name, domain, _ := strings.Cut(strings.ToLower(gateway.Hostname(host)), ".")
	if domain != s.Policy.Domain {
		return nil, nil
	}
	s.mu.Lock() // so that Forget comes before the lookup, or after the preview is open
	defer s.mu.Unlock()
	var list v1alpha1.InterceptList
	if err := s.Reader.List(ctx, &list, client.MatchingFields{urlField: urlOf(name, domain)}); err != nil {
		return nil, err
	}
	if len(list.Items) != 1 {
		return nil, nil
	}
	return s.openNow(&list.Items[0])
}

// openNow returns the preview of an Intercept as it is now. The caller holds mu.
func (s *Server) openNow(ic *v1alpha1.Intercept) (*openPreview, error) {
	before := s.open[ic.UID]
	if before != nil && !changed(before.intercept, ic) {
		return before, nil
	}
	marks, err := gateway.MarksOf(ic.Spec.Match.Conditions())
	if err != nil {
		return nil, err
	}
	if before != nil {
		before.gateway.Close()
	}
	ic = ic.DeepCopy()
	o := &openPreview{intercept: ic}
	o.gateway = gateway.New(gateway.Config{
		Ingress: gateway.Ingress{Host: ic.Spec.Preview.Host, Port: uint16(ic.Spec.Preview.Port), TLS: ic.Spec.Preview.TLS, L5Host: ic.Spec.Preview.L5Host},
		Marks:   marks, TLS: true, Cookies: []string{cookieName}, Log: s.Log,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) { return s.dial(ctx, network, ic) },
		Failed: func(w http.ResponseWriter, r *http.Request, err error) {
			s.logAway(r.Context(), o, err)
			show(w, http.StatusBadGateway, pageAway)
		},
	})
	s.open[ic.UID] = o
	return o, nil
}

// dial connects to the ingress.
func (s *Server) dial(ctx context.Context, network string, ic *v1alpha1.Intercept) (net.Conn, error) {
	to, err := s.Policy.Ingress(ctx, ic)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, to.String())
}

// changed says whether a preview is another than before.
func changed(before, now *v1alpha1.Intercept) bool {
	return !equality.Semantic.DeepEqual(before.Spec.Preview, now.Spec.Preview) || !equality.Semantic.DeepEqual(before.Spec.Match, now.Spec.Match) ||
		before.Spec.Session != now.Spec.Session || now.DeletionTimestamp != nil
}

// Forget ends what visitors have open of a preview that has ended or changed. The cache
// calls it with what has changed: now is nil after a deletion.
func (s *Server) Forget(before, now *v1alpha1.Intercept) {
	if now != nil && !changed(before, now) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.open[before.UID]; o != nil {
		o.gateway.Close()
		delete(s.open, before.UID)
	}
}
