package state

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// State is what a successor takes over. Only the holder of the lock writes it. Its fields are
// those of one file.
type State struct {
	// Token is the session's secret, TokenSize bytes.
	Token []byte `json:"token"`
	// Session is the name of the Session object; empty before it exists.
	Session string `json:"session,omitempty"`
	// Context, Server and User say whose session it is, to commands whose kubeconfig does
	// not have the context.
	Context string `json:"context,omitempty"`
	Server  string `json:"server,omitempty"`
	User    string `json:"user,omitempty"`
	// ManagerNamespace is that of the Session object.
	ManagerNamespace string `json:"managerNamespace,omitempty"`
	// Generation is that of the last run.
	Generation uint64 `json:"generation"`
	// Transport is the transport that worked last, at TransportTime.
	Transport     string    `json:"transport,omitempty"`
	TransportTime time.Time `json:"transportTime,omitzero"`
	// Intercepts are those that were served.
	Intercepts []types.NamespacedName `json:"intercepts,omitempty"`
	// Isolated are the sockets (netd/handover) of the intercepts whose ports are not this
	// machine's but a program's own, by "namespace/name".
	Isolated map[string]string `json:"isolated,omitempty"`
	// Proxies and Device are the access to the cluster that there was.
	Proxies []Proxy `json:"proxies,omitempty"`
	Device  *Device `json:"device,omitempty"`
}

// New returns a State with a new token.
func New() State {
	token := make([]byte, handshake.TokenSize)
	rand.Read(token) // never fails
	return State{Token: token}
}

// TokenHash is what the Session object carries.
func (s *State) TokenHash() string {
	sum := sha256.Sum256(s.Token)
	return hex.EncodeToString(sum[:])
}

// Renew replaces the token and forgets the Session object it was good for.
func (s *State) Renew() {
	s.Token, s.Session = New().Token, ""
	s.Clear()
}

// Clear forgets all that a successor would bring back.
func (s *State) Clear() { s.Intercepts, s.Isolated, s.Proxies, s.Device = nil, nil, nil, nil }

// Online says that a successor would give programs access to the cluster.
func (s *State) Online() bool { return s.Device != nil || len(s.Proxies) > 0 }

// Load reads what the last process left. Without anything usable it is a new
// State: a token that is lost costs no more than a new Session object.
func (d *Dir) Load() (State, error) {
	b, err := os.ReadFile(d.file("session.json"))
	if errors.Is(err, os.ErrNotExist) {
		return New(), nil
	}
	if err != nil {
		return State{}, unusable(d.file("session.json"), err)
	}
	var s State
	if json.Unmarshal(b, &s) != nil || len(s.Token) != handshake.TokenSize {
		return New(), nil
	}
	return s, nil
}

// Save writes s so that a crash leaves either the old state or the new.
func (d *Dir) Save(s State) error {
	return d.write("session.json", s)
}

// write replaces a file by v in JSON, readable by the user alone.
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

// Fail leaves the reason for the command that started this process.
func (d *Dir) Fail(text string) error {
	return d.write("failure.json", Failure{PID: os.Getpid(), Error: text})
}

// Failure returns what process pid left, or "".
func (d *Dir) Failure(pid int) string {
	b, err := os.ReadFile(d.file("failure.json"))
	var f Failure
	if err != nil || json.Unmarshal(b, &f) != nil || f.PID != pid {
		return ""
	}
	return f.Error
}

// ClearFailure forgets it.
func (d *Dir) ClearFailure() { os.Remove(d.file("failure.json")) }
