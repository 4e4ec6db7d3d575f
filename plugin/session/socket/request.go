package socket

import (
	"errors"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// ErrEnding says that the process is about to end. On the socket it is the status
// Conflict.
var ErrEnding = errors.New("the session is ending")

// The paths of the requests.
const (
	PathStatus     = "/status"
	PathHold       = "/hold"
	PathQuit       = "/quit" // with successor=true another process takes over
	PathIntercepts = "/intercepts"
	PathLeave      = "/leave"
	PathProxy      = "/proxy"
	PathDevice     = "/device"
	PathRelease    = "/release" // with by=NAME of a command
	PathDisconnect = "/disconnect"
	PathHeaders    = "/headers"
	PathProcess    = "/process"
	PathMount      = "/mount"
	PathLogLevel   = "/loglevel"
	PathTraffic    = "/traffic"
)

// Tracked is an intercept for which the process is to stay alive, and its program. In the
// answer it is the program before.
type Tracked struct {
	Namespace, Name string
	Program         state.Program
}

// Asked is an intercept whose agents are asked something.
type Asked struct{ Namespace, Name string }

// Process is what the process of a container has, in the encoding of package process.
type Process struct{ Parts []byte }

// Mounting is an intercept whose container's volumes this machine is to have.
type Mounting struct {
	Namespace, Name string
	Wish            state.Wish
}

// Leaving is an intercept that is to end. With Wait the answer comes when the
// application has its traffic back.
type Leaving struct {
	Namespace, Name string
	Wait            bool
}

// LogLevel is the level at which the process logs for a time.
type LogLevel struct {
	Level string
	For   time.Duration
}
