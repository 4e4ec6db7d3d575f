package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"

	"github.com/kubectl-intercept/kubectl-intercept/test/bench/report"
)

// names measures the laptop's name server, and beside it a round trip through
// the same TUN.
func (b *bench) names(ctx context.Context) error {
	defer b.hangUp(ctx)
	if err := b.reconnect(ctx, outTransports()[0]); err != nil {
		return err
	}
	server, err := b.lab.nameServer(ctx)
	if err != nil {
		return err
	}
	tun := outKinds()[0].path(b, b.service)
	name := path{column: report.Outbound, in: b.lab.laptop, addr: server}
	length := "-length=" + b.length.String()
	for range b.rounds {
		r, err := b.call(ctx, name, "cached", "-domain="+nameToResolve, "-count="+strconv.Itoa(namesAtOnce), length)
		if err != nil {
			if err := b.failed(ctx, outboundPrefix+"names", report.Outbound, err); err != nil {
				return err
			}
		} else {
			b.report.Add(outboundPrefix+"names", report.Outbound, r.Latency.PerSecond())
		}
		if r, err = b.call(ctx, tun, "ping", "-count="+pings, length); err != nil {
			return err
		}
		b.report.Add(outboundPrefix+"name.ping", report.Outbound, millis(r.Latency.P50))
		r, err = b.call(ctx, name, "uncached", "-domain="+podDomain, "-count="+strconv.Itoa(uncachedNames), length)
		if err != nil {
			if err := b.failed(ctx, outboundPrefix+"name50", report.Outbound, err); err != nil {
				return err
			}
			continue
		}
		b.report.Add(outboundPrefix+"name50", report.Outbound, millis(r.Latency.P50))
		b.report.Add(outboundPrefix+"name99", report.Outbound, millis(r.Latency.P99))
	}
	return nil
}

// nameServer returns the address of the name server on the TUN.
func (l *lab) nameServer(ctx context.Context) (string, error) {
	out, err := output(ctx, shortCommand, l.laptop(l.program("kubectl-intercept"), "status", "--output=json"), l.env)
	if err != nil {
		return "", err
	}
	var status struct {
		Session struct {
			Network struct {
				Device struct{ DNS string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		return "", err
	}
	if status.Session.Network.Device.DNS == "" {
		return "", errors.New("status names no DNS server")
	}
	return net.JoinHostPort(status.Session.Network.Device.DNS, "53"), nil
}
