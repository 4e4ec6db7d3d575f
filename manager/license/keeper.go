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

// look is the time between two reads of the license file. The Keeper compares
// contents, not times: the kubelet updates a mounted Secret by replacing the
// folder. The kubelet takes up to a minute to do that.
const look = 5 * time.Second

// Keeper reads and checks the license file of this replica. Every replica has
// a Keeper, because every replica admits intercepts by itself. A Keeper is
// safe for concurrent use.
type Keeper struct {
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

// NewKeeper returns a Keeper that has not read the file yet. Until Look or
// Start is called, its report says that there is no license. The reader must
// read from the API server, not from a cache.
func NewKeeper(o Options, r client.Reader, log *slog.Logger) *Keeper {
	return &Keeper{options: o, reader: r, log: log, now: time.Now}
}

// NeedLeaderElection is false: the Keeper runs in every replica.
func (k *Keeper) NeedLeaderElection() bool { return false }

// Start reads the file again and again until ctx ends. It logs each change of
// the license's state.
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

// Look reads the file. It also reads the cluster's id if that is not known yet.
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

// Report returns the state of the license at this moment.
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

// readCluster returns the cluster's id, or the reason why it cannot be read.
func (k *Keeper) readCluster(ctx context.Context) (id, problem string) {
	ctx, cancel := context.WithTimeout(ctx, look)
	defer cancel()
	var ns corev1.Namespace
	if err := k.reader.Get(ctx, client.ObjectKey{Name: api.ClusterNamespace}, &ns); err != nil {
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
