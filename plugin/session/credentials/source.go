package credentials

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

const (
	// verifyTimeout is how long the API server may take to say whose new
	// credentials are.
	verifyTimeout = 15 * time.Second
	// A plugin that failed is run again after pluginPause, which doubles up to
	// maxPause: it may open a browser each time. A command ends the pause.
	pluginPause, maxPause = 10 * time.Second, 5 * time.Minute
)

// Origin is where credentials come from.
type Origin struct {
	Place
	// Load reads the kubeconfig again; nil if that is not possible, as with a
	// pipe.
	Load func() (*rest.Config, error)
}

// Source holds the credentials of a process. It is an http.RoundTripper, whose
// requests go to the API server that is meant now, as the user that is meant. It
// is safe for concurrent use.
type Source struct {
	ctx  context.Context
	log  *slog.Logger
	base *url.URL // what requests to RoundTrip begin with

	turn sync.Mutex // held while others are looked for

	mu      sync.Mutex
	now     *generation
	origin  Origin
	verify  func(context.Context, *rest.Config) error
	changed func()
	trouble error
	heard   time.Time
	pause   time.Duration
	next    time.Time
	stop    context.CancelFunc // ends the plugin that runs; nil if none does
}

// generation is what is used until there is another.
type generation struct {
	*Credentials
	cfg       *rest.Config
	transport http.RoundTripper
}

// NewSource begins with the given ones, until ctx ends.
func NewSource(ctx context.Context, c *Credentials, origin Origin, log *slog.Logger) (*Source, error) {
	s := &Source{ctx: ctx, log: log, origin: origin, heard: time.Now()}
	if c.Provider != nil && c.persister == nil && origin.Load != nil { // what cannot be handed over
		cfg, err := origin.Load()
		if err != nil {
			return nil, err
		}
		if c, err = Of(cfg, origin.Env); err != nil {
			return nil, err
		}
	}
	g, err := newGeneration(c)
	if err != nil {
		return nil, err
	}
	s.now = g
	s.base, err = url.Parse(c.Host)
	return s, err
}

func newGeneration(c *Credentials) (*generation, error) {
	cfg, err := c.Config()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	t, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return &generation{c, cfg, t}, nil
}

// Guard says what new credentials must stand before they are used, and who
// hears of it when they are. Without, all are refused.
func (s *Source) Guard(verify func(context.Context, *rest.Config) error, changed func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verify, s.changed = verify, changed
}

func (s *Source) current() *generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Config is the present configuration, another one after each change.
func (s *Source) Config() *rest.Config { return s.current().cfg }

// Client is the configuration of a client that goes along with every change.
func (s *Source) Client() *rest.Config {
	return kube.Tune(&rest.Config{Host: s.base.String(), Transport: s, WarningHandler: rest.NoWarnings{}})
}

// Trouble is why the API server does not accept the credentials; nil: it does,
// as far as is known.
func (s *Source) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// Heard is when the API server last accepted the credentials of this user.
func (s *Source) Heard() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// Accepted notes that it did.
func (s *Source) Accepted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard, s.trouble = time.Now(), nil
}

func (s *Source) note(err error) {
	s.mu.Lock()
	news := s.trouble == nil || s.trouble.Error() != err.Error()
	s.trouble = err
	s.mu.Unlock()
	if news {
		s.log.Warn("the API server does not accept the credentials", "error", err)
	}
}

// RoundTrip implements http.RoundTripper.
func (s *Source) RoundTrip(req *http.Request) (*http.Response, error) {
	for again := req.Body == nil || req.GetBody != nil; ; again = false {
		g := s.current()
		to, err := s.redirect(req, g)
		if err != nil {
			return nil, err
		}
		resp, err := g.transport.RoundTrip(to)
		switch {
		case err != nil:
			err = &url.Error{Op: req.Method, URL: to.URL.String(), Err: err} // its address may be news
		case resp.StatusCode == http.StatusUnauthorized:
			err = apierrors.NewUnauthorized("Unauthorized")
		case resp.StatusCode < http.StatusInternalServerError: // others may be of something in between
			s.Accepted()
		}
		if err == nil || req.Context().Err() != nil || !s.Doubt(req.Context(), g.cfg, err) || !again {
			if resp != nil {
				err = nil
			}
			return resp, err
		}
		if resp != nil {
			resp.Body.Close()
		}
	}
}

// redirect is the request as it is sent.
func (s *Source) redirect(req *http.Request, g *generation) (*http.Request, error) {
	to := req.Clone(req.Context())
	if req.GetBody != nil {
		var err error
		if to.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(g.Host)
	if err != nil {
		return nil, err
	}
	to.URL.Scheme, to.URL.Host, to.Host = u.Scheme, u.Host, ""
	if u.Path != s.base.Path { // the API server may live under a path
		to.URL.Path, to.URL.RawPath = u.Path+strings.TrimPrefix(req.URL.Path, s.base.Path), ""
	}
	return to, nil
}

// Rejected says that err is of credentials that do not hold: those of this side,
// or the certificate of the other.
func Rejected(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var alert tls.AlertError
	return apierrors.IsUnauthorized(err) || errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.As(err, &invalid) || errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:")
}
