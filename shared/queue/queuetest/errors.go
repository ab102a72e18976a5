package queuetest

import (
	"errors"
	"fmt"
	"net/http"
)

// Shapes of the SQS model and those of the framework under it.
const (
	model = "com.amazonaws.sqs#"
	coral = "com.amazon.coral.service#"
)

// apiError is a refusal as AWS sends it: the shape in the body's __type, and the
// code of the older query protocol in a header, which the SDKs show to callers.
type apiError struct {
	status  int
	shape   string
	query   string
	message string
}

func (e *apiError) Error() string { return e.query + ": " + e.message }

func refusal(shape, query, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, shape: model + shape, query: query, message: message}
}

var errClosed = errors.New("queuetest: the server is closed")

var (
	errNoQueue = refusal("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue",
		"The specified queue does not exist.")
	errBatchEmpty = refusal("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest",
		"There should be at least one entry in the request.")
	errBatchID = refusal("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId",
		"A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
	errContents = refusal("InvalidMessageContents", "InvalidMessageContents",
		"The message contains characters outside the allowed set.")
	errOverLimit = refusal("OverLimit", "OverLimit",
		"There are too many messages in flight in this queue.")
	errNotInFlight = refusal("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight",
		"The specified message isn't in flight.")
	errMoveRunning = refusal("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation",
		"There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
)

func badHandle(handle string) *apiError {
	return refusal("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid",
		fmt.Sprintf("The input receipt handle %q is not a valid receipt handle.", handle))
}

func invalid(format string, args ...any) *apiError {
	return &apiError{
		status: http.StatusBadRequest, shape: coral + "InvalidParameterValueException",
		query: "InvalidParameterValue", message: fmt.Sprintf(format, args...),
	}
}

func outOfRange(value int, name, want string) *apiError {
	return invalid("Value %d for parameter %s is invalid. Reason: Must be %s.", value, name, want)
}

func missing(name string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, shape: coral + "MissingRequiredParameterException",
		query: "MissingParameter", message: "The request must contain the parameter " + name + ".",
	}
}

func badRequest(message string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, shape: coral + "SerializationException",
		query: "MalformedInput", message: message,
	}
}

func noResource(name string) *apiError {
	return &apiError{
		status: http.StatusNotFound, shape: model + "ResourceNotFoundException",
		query:   "ResourceNotFoundException",
		message: "The resource that you specified for the " + name + " parameter doesn't exist.",
	}
}

func writeError(w http.ResponseWriter, err error) {
	fault := "Sender"
	var refused *apiError
	if !errors.As(err, &refused) {
		fault = "Receiver"
		refused = &apiError{
			status: http.StatusInternalServerError, shape: coral + "InternalFailure",
			query: "InternalFailure", message: err.Error(),
		}
	}
	w.Header().Set("X-Amzn-Query-Error", refused.query+";"+fault)
	writeJSON(w, refused.status, map[string]string{"__type": refused.shape, "message": refused.message})
}
