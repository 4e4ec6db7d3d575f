package meter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Bulk is the result of a transfer. Bytes is what the receivers counted, Elapsed
// the time from the first dial until the last byte had arrived.
type Bulk struct {
	Bytes   int64
	Elapsed time.Duration
}

// Rate returns the rate in MB/s; an MB is 1e6 bytes.
func (b Bulk) Rate() float64 {
	if b.Elapsed <= 0 {
		return 0
	}
	return float64(b.Bytes) / b.Elapsed.Seconds() / 1e6
}

// Upload sends on the given number of connections for the duration d. It fails if
// one of them fails.
func Upload(ctx context.Context, to Target, streams int, d time.Duration) (Bulk, error) {
	return bulk(ctx, to, streams, d, upload)
}

// Download is Upload with the server as the sender.
func Download(ctx context.Context, to Target, streams int, d time.Duration) (Bulk, error) {
	return bulk(ctx, to, streams, d, download)
}

type transfer func(c net.Conn, d time.Duration) (int64, error)

func bulk(ctx context.Context, to Target, streams int, d time.Duration, one transfer) (Bulk, error) {
	type result struct {
		bytes int64
		err   error
	}
	results := make(chan result, streams)
	start := time.Now()
	for range streams {
		go func() {
			c, err := to.dial(ctx, d+grace)
			if err != nil {
				results <- result{0, err}
				return
			}
			defer c.Close()
			n, err := one(c, d)
			results <- result{n, err}
		}()
	}
	var b Bulk
	var errs []error
	for range streams {
		r := <-results
		b.Bytes += r.bytes
		errs = append(errs, r.err)
	}
	b.Elapsed = time.Since(start)
	return b, errors.Join(errs...)
}

func upload(c net.Conn, d time.Duration) (int64, error) {
	if _, err := c.Write([]byte{opUpload}); err != nil {
		return 0, err
	}
	if err := send(c, time.Now().Add(d)); err != nil {
		return 0, err
	}
	answer := make([]byte, 8)
	if _, err := io.ReadFull(c, answer); err != nil {
		return 0, fmt.Errorf("no count from the receiver: %w", err)
	}
	return int64(binary.BigEndian.Uint64(answer)), nil
}

func download(c net.Conn, d time.Duration) (int64, error) {
	if err := request(c, opDownload, d); err != nil {
		return 0, err
	}
	return drain(c)
}

// request writes an operation and its duration.
func request(c net.Conn, op byte, d time.Duration) error {
	_, err := c.Write(binary.BigEndian.AppendUint32([]byte{op}, uint32(d.Milliseconds())))
	return err
}
