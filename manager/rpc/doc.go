// Package rpc is the control protocol between traffic-agents and the
// traffic-manager, generated from agent.proto. Flows do not travel here: see
// package tunnel.
package rpc
