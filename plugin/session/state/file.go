package state

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// State is what the next process of a session takes over. It is stored in one file, which
// only the holder of the lock writes.
type State struct {
	// Key is the seed of the session's key pair, handshake.SeedSize bytes. It is secret.
	Key []byte `json:"key"`
	// Session is the name of the Session object; empty before it exists.
	Session string `json:"session,omitempty"`
	// Context, Server and User say whose session it is. Commands whose kubeconfig does not
	// have the context need them.
	Context string `json:"context,omitempty"`
	Server  string `json:"server,omitempty"`
	User    string `json:"user,omitempty"`
	// ManagerNamespace is the namespace of the Session object.
	ManagerNamespace string `json:"managerNamespace,omitempty"`
	// Generation identifies the last run of the process.
	Generation uint64 `json:"generation"`
	// Transport is the transport that worked last, at TransportTime.
	Transport     string    `json:"transport,omitempty"`
	TransportTime time.Time `json:"transportTime,omitzero"`
	// NotDirect are the networks in which the traffic-manager was not reached directly.
	NotDirect Networks `json:"notDirect,omitempty"`
	// Intercepts are the intercepts that the last process served.
	Intercepts []types.NamespacedName `json:"intercepts,omitempty"`
	// Programs are the programs for which there are intercepts, by the intercept's
	// "namespace/name". An intercept that stays until it is left has none, unless its ports are
	// at other addresses than loopback.
	Programs map[string]Program `json:"programs,omitempty"`
	// Mounts are where this machine has the volumes of intercepts' containers, by the
	// intercept's "namespace/name".
	Mounts map[string]Mount `json:"mounts,omitempty"`
	// Proxies and Device are the access to the cluster that the last process gave.
	Proxies []Proxy `json:"proxies,omitempty"`
	Device  *Device `json:"device,omitempty"`
}

// New returns a State with a new key.
func New() State {
	key := make([]byte, handshake.SeedSize)
	rand.Read(key) // never fails
	return State{Key: key}
}

// Identity returns the session's key pair. The spec of the Session object has the public
// key.
func (s *State) Identity() *handshake.Identity {
	return handshake.NewIdentity([handshake.SeedSize]byte(s.Key))
}

// Renew replaces the key. It removes the name of the Session object, which has the old
// one, and all that Clear removes.
func (s *State) Renew() {
	s.Key, s.Session = New().Key, ""
	s.Clear()
}

// Clear removes everything that the next process would restore.
func (s *State) Clear() {
	s.Intercepts, s.Programs, s.Mounts, s.Proxies, s.Device = nil, nil, nil, nil, nil
}

// Online says that the next process would give programs access to the cluster.
func (s *State) Online() bool { return s.Device != nil || len(s.Proxies) > 0 }

// Load reads the state that the last process saved. It returns a new State if there is
// none, or if it cannot be decoded: a lost key only costs a new Session object.
func (d *Dir) Load() (State, error) {
	b, err := os.ReadFile(d.file("session.json"))
	if errors.Is(err, os.ErrNotExist) {
		return New(), nil
	}
	if err != nil {
		return State{}, unusable(d.file("session.json"), err)
	}
	var s State
	if json.Unmarshal(b, &s) != nil || len(s.Key) != handshake.SeedSize {
		return New(), nil
	}
	return s, nil
}

// Save writes s. After a crash, the file has either the old state or the new one.
func (d *Dir) Save(s State) error {
	return d.write("session.json", s)
}

// write replaces the content of a file with v in JSON. Only the user can read the file.
func (d *Dir) write(name string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(d.path, name+".*") // mode 0600
	if err != nil {
		return unusable(d.path, err)
	}
	defer os.Remove(tmp.Name()) // fails once renamed
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), d.file(name))
	}
	if err != nil {
		return fmt.Errorf("write the session's state: %w", err)
	}
	return nil
}

// Failure is why a process could not start.
type Failure struct {
	PID   int    `json:"pid"`
	Error string `json:"error"`
}

// Fail saves the reason why this process could not start, for the command that started it.
func (d *Dir) Fail(text string) error {
	return d.write("failure.json", Failure{PID: os.Getpid(), Error: text})
}

// Failure returns the reason that process pid saved, or "".
func (d *Dir) Failure(pid int) string {
	b, err := os.ReadFile(d.file("failure.json"))
	var f Failure
	if err != nil || json.Unmarshal(b, &f) != nil || f.PID != pid {
		return ""
	}
	return f.Error
}

// ClearFailure removes the saved reason.
func (d *Dir) ClearFailure() { os.Remove(d.file("failure.json")) }
