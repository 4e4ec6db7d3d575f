//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// app is an application that nobody here wrote, or that shows what it receives, in a pod
// of its own with a Service.
type app struct {
	name     string
	commands []string // one for each container
	ports    []int
	http1    bool // the corpus is for it
}

// apps are the applications of bin/apps.tar.
func apps() []*app {
	const python = "/usr/bin/python3.11 "
	return []*app{
		{"nginx", []string{"/usr/sbin/nginx -e /dev/null -c /apps/nginx.conf"}, []int{8080, 8081}, true},
		{"apache", []string{"/usr/sbin/apache2 -DFOREGROUND -f /apps/apache.conf"}, []int{8080}, true},
		{"haproxy", []string{"/usr/sbin/haproxy -db -f /apps/haproxy.cfg", "/usr/sbin/nginx -e /dev/null -c /apps/behind.conf"}, []int{8080}, true},
		{"python", []string{python + "-m http.server 8080 --directory /www"}, []int{8080}, true},
		{"gunicorn", []string{python + "-m gunicorn --chdir /apps --worker-class gthread --threads 64 --keep-alive 75 --bind :8080 pages:app"}, []int{8080}, true},
		{"node", []string{"/usr/bin/node /apps/site.js"}, []int{8080, 8081}, true},
		{"go", []string{"/site -listen :8080 -tap :8079"}, []int{8080, 8079}, true},
		{"nghttpd", []string{"/usr/sbin/nghttpd --no-tls -d /www 8080"}, []int{8080}, false},
		{"websockets", []string{python + "/apps/echo.py"}, []int{8080}, false},
		{"grpc", []string{"/interop -port 8080"}, []int{8080}, false},
	}
}

// manifest returns the pod and the Service of an application.
func (a *app) manifest() string {
	var b strings.Builder
	fmt.Fprintf(&b, `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{name: tmp, emptyDir: {}}]
      containers:
`, a.name)
	for n, command := range a.commands {
		fmt.Fprintf(&b, "      - {name: c%d, image: %s, command: %s, volumeMounts: [{name: tmp, mountPath: /tmp}]", n, lab.AppsImage, list(command))
		if n == 0 {
			b.WriteString(", ports: [{name: http, containerPort: 8080}], readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 30}")
		}
		b.WriteString("}\n")
	}
	fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Service\nmetadata: {name: %[1]s}\nspec:\n  selector: {app: %[1]s}\n  ports:\n", a.name)
	for _, port := range a.ports {
		fmt.Fprintf(&b, "  - {name: p%[1]d, port: %[1]d}\n", port)
	}
	return b.String()
}

// list is the words of a command in YAML.
func list(command string) string {
	return `["` + strings.Join(strings.Fields(command), `", "`) + `"]`
}

// intercepted returns the ports that callers use. The others only tell what came.
func (a *app) intercepted() []int {
	return slices.DeleteFunc(slices.Clone(a.ports), func(port int) bool { return port < 8080 })
}

// address returns where the application serves.
func (a *app) address(l *lab.Lab, port int) string {
	l.Helper()
	return l.Service(a.name, fmt.Sprint(port))
}

// dialer returns a function that connects from a node.
func dialer(node *lab.Space, addr string) func(context.Context) (*net.TCPConn, error) {
	return func(ctx context.Context) (*net.TCPConn, error) {
		c, err := node.Dial(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), nil
	}
}
