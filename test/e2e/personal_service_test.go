//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// track is one of the Deployments that a Service selects.
const track = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: TRACK}
spec:
  selector: {matchLabels: {app: quote, track: TRACK}}
  template:
    metadata: {labels: {app: quote, track: TRACK}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: quote
        image: kubectl-intercept.dev/test/quote:dev
        args: [-listen=:8080]
        ports: [{name: http, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 30}
`

// oneService selects the pods of every track.
const oneService = `
apiVersion: v1
kind: Service
metadata: {name: quote}
spec: {selector: {app: quote}, ports: [{name: http, port: 80, targetPort: http}]}
`

// ofTrack returns where the Service sends callers in the pod of a track.
func ofTrack(l *lab.Lab, name string) string {
	l.Helper()
	for _, p := range l.Pods() {
		for _, c := range p.Spec.Containers {
			for _, port := range c.Ports {
				if p.Labels["track"] == name && port.Name == "http" {
					return net.JoinHostPort(p.Status.PodIP, fmt.Sprint(port.ContainerPort))
				}
			}
		}
	}
	l.Fatalf("no pod of %s", name)
	return ""
}

// TestPersonalService: a personal intercept of a Service has its requests of every workload
// that the Service selects, also of those that come later. One of a workload has its
// requests of that workload only.
func TestPersonalService(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			tracks := func(names ...string) {
				l.Helper()
				for _, name := range names {
					l.CreateText(strings.ReplaceAll(track, "TRACK", name))
				}
				l.Ready()
			}
			tracks("stable")
			l.ApplyText(oneService)
			quote := l.Serving("quote", "http")
			alice, bob := l.Laptop("alice"), l.Laptop("bob")
			a, b := people[0], people[1]
			inApplication := func(p person) person { return person{lab.Application, "", p.mark} }
			add := func(p *lab.Laptop, who person, workload string) {
				l.Helper()
				p.Intercept("add", workload, "--inject", string(inject), "--port", p.Serve(who.name).To(""), "--match", who.match)
				l.Ready() // pods without the sidecar are gone
			}
			// follows waits until alice has her requests of a track.
			follows := func(name string) {
				l.Helper()
				l.Until("alice has her requests of "+name, func() error {
					l.Ready()
					addr := ofTrack(l, name)
					c, err := keep(l, l.Nodes[0], addr)
					if err != nil {
						return err
					}
					defer c.conn.Close()
					if got, err := c.as(a); err != nil || got != a.name {
						return fmt.Errorf("%s is answered by %q, %v", addr, got, err)
					}
					return nil
				})
			}

			add(alice, a, "svc/quote")
			noneAstray(l, []string{quote, ofTrack(l, "stable")}, nobody, a, inApplication(b))
			tracks("canary")
			follows("canary")
			noneAstray(l, []string{quote, ofTrack(l, "stable"), ofTrack(l, "canary")}, nobody, a, inApplication(b))

			add(bob, b, "deploy/canary")
			tracks("blue")
			follows("blue")
			noneAstray(l, []string{ofTrack(l, "canary")}, nobody, a, b)
			noneAstray(l, []string{ofTrack(l, "stable"), ofTrack(l, "blue")}, nobody, a, inApplication(b))

			alice.Intercept("leave", "svc/quote")
			noneAstray(l, []string{ofTrack(l, "canary")}, nobody, inApplication(a), b)
			noneAstray(l, []string{quote, ofTrack(l, "stable"), ofTrack(l, "blue")}, nobody, inApplication(a))
		})
	}
}
