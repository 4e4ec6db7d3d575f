package handover

import (
	"context"
	"errors"
	"io"
	"os"
)

// TUN is the device that a session gets: exactly one of both.
type TUN struct {
	// File is the device itself: one packet per read and write, with a header
	// in front if Network.Offload says so, and on darwin the four bytes of its
	// address family. It is not blocking and known to Go's poller.
	File *os.File
	// Device is there where a descriptor cannot be passed: one packet per Read
	// and Write, without a header. Close ends a Read.
	Device io.ReadWriteCloser
}

// Close closes what the session has of the device.
func (t *TUN) Close() error {
	if t.File != nil {
		return t.File.Close()
	}
	return t.Device.Close()
}

// Open makes the network. The TUN is the caller's. The error may be a
// *RefusedError; after any error nothing is left, and Open may be called again,
// except when ctx ends: then Close undoes it.
func (c *Client) Open(ctx context.Context, config Config) (*Network, *TUN, error) {
	a, err := c.ask(ctx, Request{Op: OpOpen, Config: &config})
	switch {
	case err != nil:
		return nil, nil, err
	case a.Network == nil || a.file == nil && a.Network.Packets == "":
		return nil, nil, errors.New("intercept-netd: answered without a network")
	case a.file != nil:
		return a.Network, &TUN{File: a.file}, nil
	}
	conn, _, err := greet(ctx, c.path, a.Network.Packets)
	if err != nil {
		_, cerr := c.ask(context.WithoutCancel(ctx), Request{Op: OpClose})
		return nil, nil, errors.Join(err, cerr)
	}
	a.Network.Packets = ""
	return a.Network, &TUN{Device: NewPackets(conn)}, nil
}
