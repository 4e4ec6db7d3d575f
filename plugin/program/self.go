package program

import (
	"fmt"
	"os"
	"runtime"
)

// Self returns the path at which this program can be started again. That is not always the
// path it was started from: `kubectl krew upgrade` deletes the folder of the old version, also
// while commands of it run. On Linux the program then remains reachable through /proc.
// Elsewhere the error says what to do.
func Self() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	return again(exe, runtime.GOOS)
}

func again(exe, system string) (string, error) {
	_, err := os.Stat(exe)
	switch {
	case err == nil:
		return exe, nil
	case system == "linux":
		return "/proc/self/exe", nil
	}
	return "", fmt.Errorf("the plugin was upgraded or removed while this command ran: type the command again (%w)", err)
}
