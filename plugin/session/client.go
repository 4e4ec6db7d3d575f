package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc/process"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// ErrNotRunning means that no session process runs for the context.
var ErrNotRunning = errors.New("no session is running")

// These are the answers of the session process. Commands use them under these names.
type (
	Status          = socket.Status
	Network         = socket.Network
	Denial          = socket.Denial
	StatusIntercept = socket.StatusIntercept
	StatusPort      = socket.StatusPort
	Headers         = socket.Headers
	LogLevel        = socket.LogLevel
	Volumes         = socket.Volumes
)

// Client sends requests to a session process.
type Client struct {
	dir  *state.Dir
	http *http.Client
}

// NewClient returns a Client of the process that serves the session of a directory.
func NewClient(dir *state.Dir) *Client {
	return &Client{dir: dir, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", dir.Socket())
		},
	}}}
}

// Status returns the status of the process.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	if err := c.call(ctx, http.MethodGet, socket.PathStatus, nil, &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Track tells the process to serve an intercept, and to stay alive for it. The intercept
// ends with the program; without one it stays until it is left. Former is the program
// before.
func (c *Client) Track(ctx context.Context, namespace, name string, p state.Program) (former state.Program, err error) {
	var was socket.Tracked
	err = c.call(ctx, http.MethodPost, socket.PathIntercepts, socket.Tracked{Namespace: namespace, Name: name, Program: p}, &was)
	return was.Program, err
}

// OpenProxy gives programs on the laptop access to the cluster through a proxy. The proxy
// listens at the given address of this machine. Port 0 means any free port.
func (c *Client) OpenProxy(ctx context.Context, want state.Proxy) (*Network, error) {
	return c.network(ctx, socket.PathProxy, want)
}

// OpenDevice gives programs on the laptop access to the cluster through a TUN.
func (c *Client) OpenDevice(ctx context.Context, want state.Device) (*Network, error) {
	return c.network(ctx, socket.PathDevice, want)
}

func (c *Client) network(ctx context.Context, path string, want any) (*Network, error) {
	var n Network
	if err := c.call(ctx, http.MethodPost, path, want, &n); err != nil {
		return nil, err
	}
	return &n, nil
}

// Disconnect ends the access to the cluster of OpenProxy and OpenDevice. It does not end
// intercepts.
func (c *Client) Disconnect(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, socket.PathDisconnect, nil, nil)
}

// Release ends the access that a command asked for under the name holder. It restores the
// access that this one replaced. If no other command has asked for the process since, the
// process ends, unless there is access or an intercept.
func (c *Client) Release(ctx context.Context, holder string) error {
	return c.call(ctx, http.MethodPost, socket.PathRelease+"?holder="+url.QueryEscape(holder), nil, nil)
}

// Leave ends an intercept of the session, and returns the last state of its Intercept. If
// wait is true, Leave returns after the application has got its traffic back.
func (c *Client) Leave(ctx context.Context, namespace, name string, wait bool) (*v1alpha1.Intercept, error) {
	var was v1alpha1.Intercept
	err := c.call(ctx, http.MethodPost, socket.PathLeave, socket.Leaving{Namespace: namespace, Name: name, Wait: wait}, &was)
	return &was, err
}

// Traffic asks the traffic-manager who moves how much.
func (c *Client) Traffic(ctx context.Context) (*traffic.Report, error) {
	var report traffic.Report
	if err := c.call(ctx, http.MethodGet, socket.PathTraffic, nil, &report); err != nil {
		return nil, err
	}
	return &report, nil
}

// Headers asks the agents of an intercept of the session which headers requests had that the
// intercept did not take.
func (c *Client) Headers(ctx context.Context, namespace, name string) (*Headers, error) {
	var seen Headers
	if err := c.call(ctx, http.MethodPost, socket.PathHeaders, socket.Asked{Namespace: namespace, Name: name}, &seen); err != nil {
		return nil, err
	}
	return &seen, nil
}

// Process asks for the environment and more of the container that an intercept of the
// session stands in for.
func (c *Client) Process(ctx context.Context, namespace, name string) (*process.Process, error) {
	var got socket.Process
	if err := c.call(ctx, http.MethodPost, socket.PathProcess, socket.Asked{Namespace: namespace, Name: name}, &got); err != nil {
		return nil, err
	}
	return process.Read(bytes.NewReader(got.Parts))
}

// Mount brings the volumes of the container that an intercept of the session stands in for
// to this machine, where they stay as long as the intercept.
func (c *Client) Mount(ctx context.Context, namespace, name string, w state.Wish) (*Volumes, error) {
	var got Volumes
	if err := c.call(ctx, http.MethodPost, socket.PathMount, socket.Mounting{Namespace: namespace, Name: name, Wish: w}, &got); err != nil {
		return nil, err
	}
	return &got, nil
}

// LogLevel lets the process log at another level for a time.
func (c *Client) LogLevel(ctx context.Context, want LogLevel) error {
	return c.call(ctx, http.MethodPost, socket.PathLogLevel, want, nil)
}

// Quit ends the process, the Session object and its intercepts. It returns after the
// process has ended. It returns nil if no process runs.
func (c *Client) Quit(ctx context.Context) error { return c.quit(ctx, socket.PathQuit) }

// Replace ends the process, but not its Session object and intercepts. The next process
// takes them over.
func (c *Client) Replace(ctx context.Context) error {
	return c.quit(ctx, socket.PathQuit+"?successor=true")
}

func (c *Client) quit(ctx context.Context, path string) error {
	for {
		err := c.call(ctx, http.MethodPost, path, nil, nil)
		switch {
		case err == nil, errors.Is(err, socket.ErrEnding):
			return c.gone(ctx)
		case !errors.Is(err, ErrNotRunning):
			return err
		}
		// No process listens: none runs, or one is still starting.
		if held, err := c.held(ctx); !held {
			return err
		}
	}
}

// gone waits until no process holds the session.
func (c *Client) gone(ctx context.Context) error {
	for {
		if held, err := c.held(ctx); !held {
			return err
		}
	}
}

// held reports whether a process holds the session's lock. It pauses before it returns
// true. It returns false with an error.
func (c *Client) held(ctx context.Context) (bool, error) {
	if locked, err := c.dir.Locked(); err != nil || !locked {
		return false, err
	}
	select {
	case <-time.After(poll):
		return true, nil
	case <-ctx.Done():
		return false, fmt.Errorf("wait for the session to end: %w", ctx.Err())
	}
}

// hold tells the process to stay alive for a while, and sends it a description of this
// command.
func (c *Client) hold(ctx context.Context, caller *socket.Caller) error {
	return c.call(ctx, http.MethodPost, socket.PathHold, caller, nil)
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://session"+path, &body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil && ctx.Err() == nil {
		// No process listens, or the one that did has ended without an answer.
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return fmt.Errorf("ask the session process: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusConflict:
		return socket.ErrEnding
	case resp.StatusCode != http.StatusOK:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
		return errors.New(strings.TrimSpace(string(text)))
	case out == nil:
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}
