package handover

import (
	"os"
	"path/filepath"
)

// Binary is the administrators' copy of intercept-netd, where it is installed.
const Binary = `C:\Program Files\kubectl-intercept\intercept-netd.exe`

// RunDir is the administrators' folder of the socket.
func RunDir() string {
	return filepath.Join(os.Getenv("ProgramData"), "kubectl-intercept")
}

// ServiceSocket is where the installed service listens.
func ServiceSocket() string { return filepath.Join(RunDir(), "netd.sock") }

// UserSocket is the same: nobody is given administrator rights on demand.
func UserSocket(int) string { return ServiceSocket() }
