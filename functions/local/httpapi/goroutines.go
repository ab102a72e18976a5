package httpapi

import (
	"fmt"
	"net/http"
	"runtime"
)

// GoroutinesPath is where the front says how many goroutines it has, for whoever looks for leaks. It is no route of the
// template and exists nowhere else.
const GoroutinesPath = "/dev/goroutines"

// WithGoroutines answers GET /dev/goroutines with {"goroutines":42}, and leaves every other request to next.
func WithGoroutines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != GoroutinesPath || r.Method != http.MethodGet {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"goroutines":%d}`, runtime.NumGoroutine())
	})
}
