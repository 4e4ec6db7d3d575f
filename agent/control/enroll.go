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

// ErrRefused: Enroll gave up, because the manager refused the agent's token.
var ErrRefused = errors.New("the manager refused the agent's token")

// Enroll gets the agent's certificate. It tries until it succeeds, ctx ends, a
// one-time token is refused, or it gives up with ErrAbandoned. When the token of a
// sidecar is refused, it tries again: the sidecar handles the pod's traffic and
// must not exit.
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
		if c.Patience.exceeded(time.Since(began), err) {
			return fmt.Errorf("enroll: %w: %w", ErrAbandoned, err)
		}
		c.log.Warn("cannot enroll yet", "error", err)
		if !Pause(ctx, backOff(n)) {
			return fmt.Errorf("enroll: %w", ctx.Err())
		}
	}
}

// renewEvery is how often the certificate's age is checked.
const renewEvery = time.Hour

// renew enrolls again before the certificate expires, until ctx ends. It is for
// sidecars only: their token can be used more than once, and they live as long as
// their pod.
func (c *Client) renew(ctx context.Context) {
	if c.settings.TokenFile == "" {
		return
	}
	for Pause(ctx, renewEvery) {
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
	accountToken := ""
	if c.settings.TokenFile != "" {
		text, err := os.ReadFile(c.settings.TokenFile)
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		accountToken = strings.TrimSpace(string(text))
	}
	answer, err := agents.Enroll(ctx, &rpc.EnrollRequest{
		Namespace: c.settings.Namespace, Pod: c.settings.Pod, PodUid: c.settings.PodUID,
		Token: c.settings.Token, ServiceAccountToken: accountToken, CertificateRequest: request,
	})
	if err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	return c.identity.setCertificate(answer.Certificate)
}
