package render

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
)

// Error is what a person is told about err, without the "error: " in front.
func Error(err error) string {
	var many utilerrors.Aggregate
	if errors.As(err, &many) {
		var lines []string
		for _, e := range utilerrors.Flatten(many).Errors() {
			lines = append(lines, Error(e))
		}
		return strings.Join(lines, "\nerror: ")
	}
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		switch s := status.Status(); {
		case apierrors.IsForbidden(err):
			return forbidden(s.Message)
		case apierrors.IsUnauthorized(err):
			return fmt.Sprintf("you must be logged in to the server: %s", s.Message)
		}
	}
	var u *url.Error
	if errors.As(err, &u) {
		for inner := u; errors.As(inner.Err, &inner); {
			u = inner // it says more
		}
	}
	if u != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		host := u.URL
		if server, perr := url.Parse(u.URL); perr == nil {
			host = server.Host
		}
		if why, ok := strings.CutPrefix(u.Err.Error(), "getting credentials: "); ok {
			return fmt.Sprintf("no credentials for the API server %s: %s", host, why)
		}
		return fmt.Sprintf("cannot reach the API server %s: %v", host, u.Err)
	}
	return err.Error()
}

// forbidden says what is missing and which role has it. The words of the API
// server's RBAC refusals are stable; others, of admission say, speak for
// themselves.
func forbidden(message string) string {
	re := regexp.MustCompile(`User "([^"]*)" cannot ([a-z]+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)"| at the cluster scope)?`)
	m := re.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	user, verb, resource, group, namespace := m[1], m[2], m[3], m[4], m[5]
	if group != "" {
		base, sub, found := strings.Cut(resource, "/")
		resource = base + "." + group
		if found {
			resource += "/" + sub
		}
	}
	what := fmt.Sprintf("no permission: user %q cannot %s %s", user, verb, resource)
	switch {
	case namespace == "":
		return what + " in all namespaces: a ClusterRoleBinding to \"edit\" or \"view\" allows it; otherwise name one namespace with -n"
	case strings.HasPrefix(resource, "sessions.") || strings.Contains(message, `"traffic-manager" is forbidden`) ||
		strings.Contains(message, `"http:traffic-manager:tunnel" is forbidden`):
		return what + fmt.Sprintf(" in namespace %q: the Role \"traffic-manager-connect\" there allows it (chart value clientRbac.subjects)", namespace)
	}
	return what + fmt.Sprintf(" in namespace %q: the ClusterRole \"edit\" allows it (kubectl create rolebinding NAME --clusterrole=edit --user=%s -n %s)", namespace, quote(user), namespace)
}

// quote makes a user name safe to paste into a shell.
func quote(s string) string {
	if regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`).MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
