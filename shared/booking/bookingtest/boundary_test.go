package bookingtest

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"stayhold/shared/booking"
)

// TestEveryPortMethodIsABoundary calls each method of the ports on a process that is
// dead. One that got past the boundary would meet a port that is not there. Left out is
// what only reads for a person: a death there leaves nothing behind.
func TestEveryPortMethodIsABoundary(t *testing.T) {
	ports := Ports{}.Between(func(context.Context, string) Fate { return DiesBefore })
	reads := []string{"Explain", "Breaches", "AccountsOf", "SoldOrders", "LongHolds"}
	for _, only := range []reflect.Type{reflect.TypeFor[booking.Reader](), reflect.TypeFor[booking.Recaller]()} {
		for i := range only.NumMethod() {
			reads = append(reads, only.Method(i).Name)
		}
	}
	for port, of := range map[any]reflect.Type{
		ports.Store:   reflect.TypeFor[booking.Store](),
		ports.Gate:    reflect.TypeFor[booking.Gate](),
		ports.Gateway: reflect.TypeFor[booking.Gateway](),
		ports.Queue:   reflect.TypeFor[booking.Queue](),
	} {
		for i := range of.NumMethod() {
			name := of.Method(i).Name
			if slices.Contains(reads, name) {
				continue
			}
			method := reflect.ValueOf(port).MethodByName(name)
			arguments, wanted := []reflect.Value{reflect.ValueOf(t.Context())}, method.Type().NumIn()
			if method.Type().IsVariadic() {
				wanted--
			}
			for at := 1; at < wanted; at++ {
				arguments = append(arguments, reflect.Zero(method.Type().In(at)))
			}
			func() {
				defer func() {
					if recover() != nil {
						t.Errorf("%v.%s is no boundary", of, name)
					}
				}()
				method.Call(arguments)
			}()
		}
	}
}
