package httpapi

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGoroutinesAreTold(t *testing.T) {
	elsewhere := 0
	h := WithGoroutines(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	count := func() (n int) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", GoroutinesPath, nil))
		var got struct{ Goroutines int }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return got.Goroutines
	}
	before := count()
	end := make(chan struct{})
	defer close(end)
	for range 100 {
		go func() { <-end }()
	}
	if after := count(); after < before+90 {
		t.Errorf("%d goroutines, and %d with a hundred more", before, after)
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", GoroutinesPath, nil))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/products", nil))
	if elsewhere != 2 {
		t.Errorf("%d of 2 other requests were passed on", elsewhere)
	}
}
