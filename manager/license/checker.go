package license

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

// reloadEvery is the time between two reads of the license file. The Checker compares
// contents, not times: the kubelet updates a mounted Secret by replacing the
// folder. The kubelet takes up to a minute to do that.
const reloadEvery = 5 * time.Second

// Checker reads and checks the license file of this replica. Every replica has a
// Checker, because each has metrics of the license, and each may become the leader, which
// publishes the license's state. A Checker is safe for concurrent use.
type Checker struct {
	options Options
	reader  client.Reader
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	text    []byte   // contents of the file
	license *license // nil if the file has no license with a good signature
	problem string   // why license is nil although the file exists
	cluster string   // the cluster's id; "" until it has been read
	unknown string   // the error of reading the cluster's id
}

// NewChecker returns a Checker that has not read the file yet. Until Reload or
// Start is called, its report says that there is no license. The reader must
// read from the API server, not from a cache.
func NewChecker(o Options, r client.Reader, log *slog.Logger) *Checker {
	return &Checker{options: o, reader: r, log: log, now: time.Now}
}

// NeedLeaderElection is false: the Checker runs in every replica.
func (c *Checker) NeedLeaderElection() bool { return false }

// Start reads the file again and again until ctx ends. It logs each change of
// the license's state.
func (c *Checker) Start(ctx context.Context) error {
	t := time.NewTicker(reloadEvery)
	defer t.Stop()
	last := ""
	for {
		c.Reload(ctx)
		if r := c.Report(); r.String() != last {
			last = r.String()
			c.log.Info("license", "state", r.State, "what", last, "required", r.Required)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Reload reads the file. It also reads the cluster's id if that is not known yet.
func (c *Checker) Reload(ctx context.Context) {
	c.mu.Lock()
	known := c.cluster != ""
	c.mu.Unlock()
	cluster, unknown := "", ""
	if !known {
		cluster, unknown = c.readCluster(ctx)
	}
	text, err := readFile(c.options.File)

	c.mu.Lock()
	defer c.mu.Unlock()
	if !known {
		c.cluster, c.unknown = cluster, unknown
	}
	switch {
	case err != nil:
		c.text, c.license, c.problem = nil, nil, err.Error()
	case len(text) == 0:
		c.text, c.license, c.problem = nil, nil, ""
	case c.text == nil || !bytes.Equal(text, c.text):
		c.text, c.license, c.problem = text, nil, ""
		key, err := ParsePublicKey(c.options.PublicKey)
		if err == nil {
			c.license, err = verify(string(text), key)
		}
		if err != nil {
			c.problem = err.Error()
		}
	}
}

// Report returns the state of the license at this moment.
func (c *Checker) Report() api.Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := api.Report{State: api.Absent, Cluster: c.cluster}
	switch {
	case c.license != nil:
		r = c.license.stateIn(c.cluster, c.now())
		if c.cluster == "" && c.unknown != "" {
			r.Message += ": " + c.unknown
		}
	case c.options.Secret != "" && c.problem == "":
		r.Message = fmt.Sprintf("there is no secret %s in the traffic-manager's namespace, or nothing in it under \"license\"", c.options.Secret)
	case c.problem != "":
		r.State, r.Message = api.Invalid, c.problem
	}
	r.Required = c.options.Required
	return r
}

// readCluster returns the cluster's id, or the reason why it cannot be read.
func (c *Checker) readCluster(ctx context.Context) (id, problem string) {
	ctx, cancel := context.WithTimeout(ctx, reloadEvery)
	defer cancel()
	var ns corev1.Namespace
	if err := c.reader.Get(ctx, client.ObjectKey{Name: api.ClusterNamespace}, &ns); err != nil {
		return "", err.Error()
	}
	return string(ns.UID), ""
}

// readFile returns the contents of the license file without surrounding
// whitespace. It returns nil if the file does not exist.
func readFile(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read license: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read license: %w", err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("the license file has more than %d bytes", maxSize)
	}
	return bytes.TrimSpace(text), nil
}
