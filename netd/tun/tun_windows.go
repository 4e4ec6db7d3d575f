package tun

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/windows"
	"golang.zx2c4.com/wireguard/tun"
	"golang.zx2c4.com/wireguard/windows/tunnel/winipcfg"
)

// Prefix begins the names of the devices.
const Prefix = "intercept"

// mtu is wintun's until route.Apply sets it.
const mtu = 1500

// Windows gives a new adapter its IP a little later, and some machines have no
// IPv6 to give.
const (
	patience4 = 10 * time.Second
	patience6 = time.Second
	again     = 20 * time.Millisecond
)

// Open makes the adapter of a name; the error may be ErrTaken. It is gone when
// this process is.
func Open(name string) (*Device, error) {
	t, err := tun.CreateTUN(name, mtu)
	switch {
	case errors.Is(err, windows.ERROR_ALREADY_EXISTS):
		return nil, fmt.Errorf("open adapter %s: %w", name, ErrTaken)
	case errors.Is(err, windows.ERROR_MOD_NOT_FOUND):
		return nil, fmt.Errorf("open adapter %s: wintun.dll is missing: put that of https://www.wintun.net for this processor beside intercept-netd.exe (%w)", name, err)
	case err != nil:
		return nil, fmt.Errorf("open adapter %s: %w", name, err)
	}
	luid := winipcfg.LUID(t.(*tun.NativeTun).LUID())
	if err := await(luid, windows.AF_INET, patience4); err != nil {
		t.Close()
		return nil, fmt.Errorf("wait for IP on adapter %s: %w", name, err)
	}
	_ = await(luid, windows.AF_INET6, patience6) // else: route.HasIPv6 says so
	return &Device{Name: name, Packets: &adapter{Device: t}}, nil
}

func await(luid winipcfg.LUID, family winipcfg.AddressFamily, most time.Duration) error {
	for end := time.Now().Add(most); ; time.Sleep(again) {
		if _, err := luid.IPInterface(family); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// adapter is wintun's, one packet at a time. What Windows does not take at
// once is lost, as on any network: a Write never waits.
type adapter struct {
	tun.Device
	in, out [1][]byte
	size    [1]int
}

func (a *adapter) Read(b []byte) (int, error) {
	a.in[0] = b
	_, err := a.Device.Read(a.in[:], a.size[:], 0)
	if err != nil {
		return 0, err
	}
	return a.size[0], nil
}

func (a *adapter) Write(b []byte) (int, error) {
	a.out[0] = b
	if _, err := a.Device.Write(a.out[:], 0); err != nil {
		return 0, err
	}
	return len(b), nil
}
