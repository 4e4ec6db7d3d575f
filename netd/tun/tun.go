// Package tun opens TUN devices: network interfaces whose packets a program
// reads and writes.
//
// wireguard/tun could open them too, but its device starts goroutines, watches
// the interface and keeps the descriptor to itself; here the descriptor is
// what is wanted, to give it to a process without privileges. (On Windows there
// is no descriptor: wireguard/tun is used, and packets are carried.)
package tun

import (
	"errors"
	"io"
	"os"
)

// ErrTaken says that an interface of the name exists.
var ErrTaken = errors.New("the interface exists")

// Device is an open TUN. It is gone when the last descriptor is closed.
type Device struct {
	Name string
	File *os.File
	// Offload says that a packet has a virtio-net header, and that the kernel
	// gives and takes TCP segments larger than the MTU.
	Offload bool

	// Packets are in place of File where that cannot be given away: one packet
	// per Read and Write, of one goroutine each. Close ends a Read.
	Packets io.ReadWriteCloser
}

// Close closes what is open here of the device; again does nothing.
func (d *Device) Close() {
	if d.Packets != nil {
		d.Packets.Close()
	} else {
		d.File.Close()
	}
}
