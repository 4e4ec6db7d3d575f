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

// look is how often the file is looked at. The kubelet takes up to a minute
// to bring a changed Secret, and it swaps folders: contents are compared.
const look = 5 * time.Second

// Keeper knows the license of this replica's file. Every replica has one,
// since each decides by itself. It is safe for concurrent use.
type Keeper struct {
	options Options
	reader  client.Reader
	log     *slog.Logger
	now     func() time.Time

	mu      sync.Mutex
	text    []byte   // of the file
	license *license // nil if there is no good one
	problem string   // why license is nil although there is a file
	cluster string   // the cluster's id, "" until it could be read
	unknown string   // why cluster is ""
}

// NewKeeper returns a Keeper that has not looked yet: it reports no license.
// The reader must not be a cache.
func NewKeeper(o Options, r client.Reader, log *slog.Logger) *Keeper {
	return &Keeper{options: o, reader: r, log: log, now: time.Now}
}

// NeedLeaderElection says that every replica keeps the license.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start looks at the file until ctx ends.
func (k *Keeper) Start(ctx context.Context) error {
	t := time.NewTicker(look)
	defer t.Stop()
	last := ""
	for {
		k.Look(ctx)
		if r := k.Report(); r.String() != last {
			last = r.String()
			k.log.Info("license", "state", r.State, "what", last, "required", r.Required)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// Look reads the file and, until it is known, the cluster's id.
func (k *Keeper) Look(ctx context.Context) {
	k.mu.Lock()
	known := k.cluster != ""
	k.mu.Unlock()
	cluster, unknown := "", ""
	if !known {
		cluster, unknown = k.readCluster(ctx)
	}
	text, err := readFile(k.options.File)

	k.mu.Lock()
	defer k.mu.Unlock()
	if !known {
		k.cluster, k.unknown = cluster, unknown
	}
	switch {
	case err != nil:
		k.text, k.license, k.problem = nil, nil, err.Error()
	case len(text) == 0:
		k.text, k.license, k.problem = nil, nil, ""
	case k.text == nil || !bytes.Equal(text, k.text):
		k.text, k.license, k.problem = text, nil, ""
		key, err := ParsePublicKey(k.options.PublicKey)
		if err == nil {
			k.license, err = verify(string(text), key)
		}
		if err != nil {
			k.problem = err.Error()
		}
	}
}

// Report is the license now.
func (k *Keeper) Report() api.Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	r := api.Report{State: api.Absent, Cluster: k.cluster}
	switch {
	case k.license != nil:
		r = k.license.judge(k.cluster, k.now())
		if k.cluster == "" && k.unknown != "" {
			r.Message += ": " + k.unknown
		}
	case k.options.Secret != "" && k.problem == "":
		r.Message = fmt.Sprintf("there is no secret %s in the traffic-manager's namespace, or nothing in it under \"license\"", k.options.Secret)
	case k.problem != "":
		r.State, r.Message = api.Invalid, k.problem
	}
	r.Required = k.options.Required
	return r
}

// readCluster returns the cluster's id, or why it cannot be known.
func (k *Keeper) readCluster(ctx context.Context) (id, problem string) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	var ns corev1.Namespace
	if err := k.reader.Get(ctx, client.ObjectKey{Name: api.ClusterNamespace}, &ns); err != nil {
		return "", err.Error()
	}
	return string(ns.UID), ""
}

// readFile returns the license without space around it; nil if there is none.
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
