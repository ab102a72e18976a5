package paymentgateway

import "strings"

// The error codes below are those of https://docs.tosspayments.com/reference/error-codes
// (payment confirm, look-up and cancel), and of the idempotency guide,
// https://docs.tosspayments.com/guides/using-api/idempotency-key. The remark behind each
// is the gateway's own message in short.

const (
	codeNotFoundPayment = "NOT_FOUND_PAYMENT"
	codeNotFound        = "NOT_FOUND"
	codeAlreadyCanceled = "ALREADY_CANCELED_PAYMENT"
)

// declined lists what a confirm may be refused with so that nothing was charged and
// nothing will be. A code that may mean "later" or "perhaps already done" is not here:
// NOT_FOUND_PAYMENT, INVALID_REQUEST, CARD_PROCESSING_ERROR, NOT_AVAILABLE_PAYMENT, …
var declined = map[string]bool{
	// 400
	"INVALID_STOPPED_CARD":                            true, // card is stopped
	"INVALID_REJECT_CARD":                             true, // refused, ask the issuer
	"INVALID_CARD_NUMBER":                             true, // check the number
	"INVALID_CARD_EXPIRATION":                         true, // check the expiry
	"INVALID_CARD_LOST_OR_STOLEN":                     true, // lost or stolen
	"INVALID_CARD_INSTALLMENT_PLAN":                   true, // wrong number of instalments
	"NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT": true, // no instalments here
	"NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN":          true, // no instalments on this card
	"NOT_ALLOWED_POINT_USE":                           true, // card takes no card points
	"BELOW_MINIMUM_AMOUNT":                            true, // below 100 won (card), 200 won (account)
	"RESTRICTED_TRANSFER_ACCOUNT":                     true, // account registered less than 12 hours ago
	"INVALID_ACCOUNT_INFO_RE_REGISTER":                true, // account is not valid
	"EXCEED_MAX_CARD_INSTALLMENT_PLAN":                true, // too many instalments
	"EXCEED_MAX_DAILY_PAYMENT_COUNT":                  true, // payments per day
	"EXCEED_MAX_PAYMENT_AMOUNT":                       true, // amount per day
	"EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT":               true, // amount per month
	"EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT":              true, // withdrawal per day
	"EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT":             true, // withdrawal at once
	"EXCEED_MAX_AMOUNT":                               true, // amount of one transaction
	// 403
	"REJECT_CARD_PAYMENT":            true, // limit or balance
	"REJECT_CARD_COMPANY":            true, // approval refused by the issuer
	"REJECT_ACCOUNT_PAYMENT":         true, // balance
	"REJECT_TOSSPAY_INVALID_ACCOUNT": true, // account is not set up for withdrawal
	"EXCEED_MAX_AUTH_COUNT":          true, // authentications
	"EXCEED_MAX_ONE_DAY_AMOUNT":      true, // limit of the day
	"INVALID_PASSWORD":               true, // payment password is wrong
	"FDS_ERROR":                      true, // fraud detection
	// 404
	"NOT_FOUND_PAYMENT_SESSION": true, // the 10 minutes to confirm in are over
}

// declines says that a confirm's code is on the allow-list: the table, and the three
// families that the gateway adds members to.
func declines(code string) bool {
	return declined[code] ||
		strings.HasPrefix(code, "REJECT_") ||
		strings.HasPrefix(code, "EXCEED_MAX_") ||
		(strings.HasPrefix(code, "INVALID_") && strings.HasSuffix(code, "_CARD"))
}

// ourFault lists the codes that turn our key away before anything is done.
var ourFault = map[string]bool{
	"UNAUTHORIZED_KEY":            true, // 401: key is not known
	"INVALID_API_KEY":             true, // 400: wrong secret key
	"INCORRECT_BASIC_AUTH_FORMAT": true, // 403: no ':' before encoding
}

// undecided lists codes that keep a 401 or 403 from being taken for a fault of our
// configuration: they say "later", "at this moment" or "has been done".
var undecided = map[string]bool{
	"ALREADY_PROCESSED_PAYMENT":     true,
	"IDEMPOTENT_REQUEST_PROCESSING": true,
	"PROVIDER_ERROR":                true, // temporary
	"CARD_PROCESSING_ERROR":         true, // fault at the issuer
	"FORBIDDEN_CONSECUTIVE_REQUEST": true, // repeated too fast
	"NOT_AVAILABLE_BANK":            true, // outside the bank's hours
	"NOT_AVAILABLE_PAYMENT":         true, // outside the hours
}
