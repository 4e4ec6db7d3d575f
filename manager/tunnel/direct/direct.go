// Package direct is what laptops and the traffic-manager agree on about connections that do
// not go by the API server: where a laptop finds the addresses, and how soon both ends notice
// that the network between them is gone.
package direct

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Key is where the traffic-manager publishes an Entrance, in JSON: the key in the ConfigMap
// "traffic-manager".
const Key = "direct.json"

const (
	// Max is how many addresses an Entrance has at most. A laptop tries them side by side.
	Max = 4
	// maxText bounds each text of an Entrance, in bytes.
	maxText = 253 + len(":65535")
	// maxJSON bounds an Entrance in JSON.
	maxJSON = 8 << 10
)

const (
	// Silence is how long bytes on a direct connection may stay unacknowledged, before both
	// ends take it for broken. Connections that carry nothing are asked after Idle. A shorter
	// Silence would end flows whenever a laptop is out of reach of its radio for a moment.
	Silence = 3 * time.Second
	Idle    = 2 * time.Second
)

// KeepAlive is that of a direct connection.
var KeepAlive = net.KeepAliveConfig{Enable: true, Idle: Idle, Interval: time.Second, Count: 2}

// Entrance is where laptops reach the traffic-manager directly.
type Entrance struct {
	// Addresses are "host:port", the best first.
	Addresses []string `json:"addresses,omitempty"`
	// ServerName is the name that the session sends in its TLS handshake, by which an Ingress
	// finds the traffic-manager. If it is empty, the session sends the traffic-manager's.
	ServerName string `json:"serverName,omitempty"`
	// Problem says why there is no address so far.
	Problem string `json:"problem,omitempty"`
}

// String is the Entrance in JSON.
func (e *Entrance) String() string {
	b, err := json.Marshal(e)
	if err != nil {
		return "{}" // it consists of strings
	}
	return string(b)
}

// Parse reads an Entrance. It returns nil for an empty text: there is no direct way. What it
// returns is safe to be shown.
func Parse(text string) (*Entrance, error) {
	if text == "" {
		return nil, nil
	}
	var e Entrance
	if len(text) > maxJSON {
		return nil, fmt.Errorf("%s has %d bytes, more than %d", Key, len(text), maxJSON)
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return nil, fmt.Errorf("%s: %w", Key, err)
	}
	if len(e.Addresses) > Max {
		return nil, fmt.Errorf("%s has %d addresses, more than %d", Key, len(e.Addresses), Max)
	}
	for _, a := range e.Addresses {
		if err := check(a); err != nil {
			return nil, err
		}
	}
	if !plain(e.ServerName) || !plain(strings.ReplaceAll(e.Problem, " ", "")) && e.Problem != "" {
		return nil, fmt.Errorf("%s: server name %q or problem %q has characters that do not belong there", Key, e.ServerName, e.Problem)
	}
	return &e, nil
}

// check returns an error unless a is "host:port".
func check(a string) error {
	host, port, err := net.SplitHostPort(a)
	n, no := strconv.ParseUint(port, 10, 16)
	if err != nil || no != nil || n == 0 || host == "" || !plain(host) {
		return fmt.Errorf("%s: %q is no address and port", Key, a)
	}
	return nil
}

// plain says whether a text is short and consists of printable ASCII without spaces.
func plain(text string) bool {
	return len(text) <= maxText && !slices.ContainsFunc([]byte(text), func(c byte) bool { return c <= ' ' || c > '~' })
}

// Notice lets both directions of a connection break soon after the network below is gone.
func Notice(c *net.TCPConn) error {
	if err := c.SetKeepAliveConfig(KeepAlive); err != nil {
		return fmt.Errorf("set keepalive: %w", err)
	}
	return limitSilence(c)
}
