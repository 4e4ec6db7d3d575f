package mux

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// toStatus returns the status in which a Handler's error travels on a carrier.
func toStatus(err error) error {
	switch v, reason := frame.AnswerOf(err); v {
	case frame.Denied:
		if reason == "" {
			reason = frame.ErrDenied.Error()
		}
		return status.Error(codes.PermissionDenied, reason)
	case frame.Refused, frame.TimedOut, frame.Unreachable:
		return status.Error(codes.Unavailable, v.Err("").Error())
	case frame.Unsupported:
		return status.Error(codes.Unimplemented, frame.ErrUnsupported.Error())
	}
	return status.Error(codes.Aborted, err.Error())
}

// fromStatus returns the error that toStatus was given. gRPC has the codes
// Unavailable and Unimplemented for errors of its own, with other messages.
func fromStatus(err error) error {
	s := status.Convert(err)
	switch s.Code() {
	case codes.PermissionDenied:
		return frame.Denied.Err(s.Message())
	case codes.Unavailable, codes.Unimplemented:
		for _, known := range []error{frame.ErrRefused, frame.ErrTimedOut, frame.ErrUnreachable, frame.ErrUnsupported} {
			if s.Message() == known.Error() {
				return known
			}
		}
	}
	return err
}
