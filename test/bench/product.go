package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

//go:embed targets.yaml
var manifests string

// Ports on the laptop.
const (
	programPort = "9000" // the program that an intercept leads to
	forwardPort = "9001" // kubectl port-forward
	linePort    = "9002" // the delay line to the API server
	slowPort    = "9003" // kubectl port-forward through the delay line
	proxyPort   = "9004" // the session's proxy
	targetPort  = "7000" // in the pods
)

// shortCommand is the time limit of a command that only reads.
const shortCommand = 30 * time.Second

// targets are the addresses of the deployments. plain and ephemeral are addresses of pods.
// service is the address of the Service of plain, and sidecar that of the Service of
// sidecar. Sidecar needs a Service because its pod is replaced by one with a sidecar.
type targets struct{ plain, service, ephemeral, sidecar string }

// prepare installs the product and deploys the targets.
func prepare(ctx context.Context, l *lab, fresh bool) (t targets, err error) {
	l.say("installing")
	install := l.laptop(l.program("kubectl-intercept"), "upgrade", "--install", "--wait", "--timeout=2m",
		"--set=directAccess.type=NodePort,directAccess.nodePort="+openPort)
	if _, err := output(ctx, 3*time.Minute, install, l.env); err != nil {
		return t, err
	}
	if !fresh {
		if err := l.restartManager(ctx); err != nil {
			return t, err
		}
	}
	if _, err := l.kubectl(ctx, "delete", "deployment/plain", "deployment/ephemeral", "deployment/sidecar", "--ignore-not-found", "--cascade=foreground"); err != nil {
		return t, err
	}
	file := filepath.Join(l.tmp, "targets.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		return t, err
	}
	if _, err := l.kubectl(ctx, "apply", "-f", file); err != nil {
		return t, err
	}
	if t.plain, err = l.podAddress(ctx, "plain"); err != nil {
		return t, err
	}
	if t.ephemeral, err = l.podAddress(ctx, "ephemeral"); err != nil {
		return t, err
	}
	if _, err = l.podAddress(ctx, "sidecar"); err != nil {
		return t, err
	}
	if t.sidecar, err = l.serviceAddress(ctx, "sidecar"); err != nil {
		return t, err
	}
	t.service, err = l.serviceAddress(ctx, "plain")
	return t, err
}

func (l *lab) serviceAddress(ctx context.Context, name string) (string, error) {
	ip, err := l.kubectl(ctx, "get", "service/"+name, "--output=jsonpath={.spec.clusterIP}")
	return ip + ":" + targetPort, err
}

// restartManager makes the manager run the image that was just loaded.
func (l *lab) restartManager(ctx context.Context) error {
	const namespace, manager = "--namespace=intercept-system", "deployment/traffic-manager"
	if _, err := l.kubectl(ctx, "rollout", "restart", manager, namespace); err != nil {
		return err
	}
	_, err := l.kubectl(ctx, "rollout", "status", manager, namespace, "--timeout=90s")
	return err
}

// podAddress returns the address of the deployment's only pod. It waits until that pod
// is ready.
func (l *lab) podAddress(ctx context.Context, deployment string) (string, error) {
	if _, err := l.kubectl(ctx, "rollout", "status", "deployment/"+deployment, "--timeout=90s"); err != nil {
		return "", err
	}
	ip, err := l.kubectl(ctx, "get", "pods", "--selector=app="+deployment, "--output=jsonpath={.items[*].status.podIP}")
	if err != nil {
		return "", err
	}
	return ip + ":" + targetPort, nil
}

// newPod replaces the deployment's pod by one without an agent.
func (l *lab) newPod(ctx context.Context, deployment string) (string, error) {
	if _, err := l.kubectl(ctx, "delete", "pod", "--selector=app="+deployment, "--wait"); err != nil {
		return "", err
	}
	return l.podAddress(ctx, deployment)
}

// add intercepts a deployment, and returns the times at which the command began and
// ended. If kubeconfig is empty, add uses the administrator's. More are additional
// arguments of the command.
func (l *lab) add(ctx context.Context, deployment, kubeconfig string, more ...string) (span, error) {
	return l.addPort(ctx, deployment, programPort+":meter", kubeconfig, more...)
}

// addPort is add for another port.
func (l *lab) addPort(ctx context.Context, deployment, port, kubeconfig string, more ...string) (span, error) {
	var s span
	argv := l.laptop(l.self, "clock", l.program("kubectl-intercept"), "add", "deployment/"+deployment, "--port", port, "--transport=service-proxy")
	argv = append(argv, more...)
	out, err := output(ctx, 90*time.Second, argv, l.withKubeconfig(kubeconfig))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

func (l *lab) leave(ctx context.Context, deployment, kubeconfig string) error {
	argv := l.laptop(l.program("kubectl-intercept"), "leave", deployment)
	_, err := output(ctx, 90*time.Second, argv, l.withKubeconfig(kubeconfig))
	return err
}

// connect connects the laptop, and returns the times at which the command began and
// ended.
func (l *lab) connect(ctx context.Context, more ...string) (span, error) {
	var s span
	argv := append(l.laptop(l.self, "clock", l.program("kubectl-intercept"), "connect"), more...)
	out, err := output(ctx, 90*time.Second, argv, l.env)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

func (l *lab) withKubeconfig(file string) []string {
	if file == "" {
		return l.env
	}
	return append(l.env[:len(l.env):len(l.env)], "KUBECONFIG="+file)
}

// startProgram starts a server on the laptop, in the role of the service that a
// developer works on.
func (l *lab) startProgram(ctx context.Context) (*process, error) {
	return start(ctx, l.laptop(l.self, "serve", "-listen=127.0.0.1:"+programPort, "-web=127.0.0.1:"+webProgramPort, "-name=laptop"), l.env, ready)
}

// startForward starts kubectl port-forward from a port on the laptop.
func (l *lab) startForward(ctx context.Context, deployment, port, kubeconfig string) (*process, error) {
	argv := l.laptop(l.program("kubectl"), "port-forward", "deployment/"+deployment, port+":"+targetPort)
	p, err := start(ctx, argv, l.withKubeconfig(kubeconfig), "Forwarding from 127.0.0.1")
	if err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	return p, nil
}
