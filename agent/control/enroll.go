package control

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// ErrRefused is the error of Enroll when the manager does not accept the
// agent's one-time token.
var ErrRefused = errors.New("the manager refused the agent's token")

// Enroll gets the agent's certificate. It tries until it succeeds or ctx ends. It
// returns ErrRefused if the manager refuses a one-time token, and ErrAbandoned when
// Client.Patience has run out. If the manager refuses a sidecar's token, Enroll tries
// again: the pod's traffic passes through a sidecar, so a sidecar must not end.
func (c *Client) Enroll(ctx context.Context) error {
	request, err := c.identity.request(c.settings.Pod)
	if err != nil {
		return err
	}
	began := time.Now()
	for n := 0; ; n++ {
		err := c.enrollOnce(ctx, request)
		if err == nil {
			return nil
		}
		var answer interface{ GRPCStatus() *status.Status }
		if errors.As(err, &answer) {
			switch s := answer.GRPCStatus(); s.Code() {
			case codes.PermissionDenied, codes.Unauthenticated:
				if c.settings.TokenFile != "" {
					break
				}
				return fmt.Errorf("enroll: %w: %s", ErrRefused, s.Message())
			}
		}
		if c.Patience.over(time.Since(began), err) {
			return fmt.Errorf("enroll: %w: %w", ErrAbandoned, err)
		}
		c.log.Warn("cannot enroll yet", "error", err)
		if !pause(ctx, backOff(n)) {
			return fmt.Errorf("enroll: %w", ctx.Err())
		}
	}
}

// renewEvery is how often the certificate's age is checked.
const renewEvery = time.Hour

// renew enrolls again before the certificate expires, until ctx ends. It does nothing
// in an ephemeral agent, whose token is good only once.
func (c *Client) renew(ctx context.Context) {
	if c.settings.TokenFile == "" {
		return
	}
	for pause(ctx, renewEvery) {
		if !c.identity.aged(time.Now()) {
			continue
		}
		request, err := c.identity.request(c.settings.Pod)
		if err == nil {
			err = c.enrollOnce(ctx, request)
		}
		if err != nil {
			c.log.Warn("the certificate is not renewed yet", "error", err)
		}
	}
}

func (c *Client) enrollOnce(ctx context.Context, request []byte) error {
	agents, closeAll, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer closeAll()
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	proof := ""
	if c.settings.TokenFile != "" {
		text, err := os.ReadFile(c.settings.TokenFile)
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		proof = strings.TrimSpace(string(text))
	}
	answer, err := agents.Enroll(ctx, &rpc.EnrollRequest{
		Namespace: c.settings.Namespace, Pod: c.settings.Pod, PodUid: c.settings.PodUID,
		Token: c.settings.Token, ServiceAccountToken: proof, CertificateRequest: request,
	})
	if err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	return c.identity.setCertificate(answer.Certificate)
}
