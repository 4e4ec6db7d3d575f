//go:build !linux

package stack

import (
	"errors"
	"runtime"
)

func newWire(cfg Config) (wire, error) {
	switch {
	case cfg.Device != nil:
		return newDevice(cfg.Device, 0), nil
	case cfg.File == nil:
		return nil, errors.New("no network device: Config has neither File nor Device")
	case runtime.GOOS == "windows":
		return nil, errors.New("on Windows the network device is no file: use Config.Device")
	}
	return newDevice(cfg.File, familySize), nil
}
