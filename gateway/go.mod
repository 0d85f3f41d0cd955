module github.com/gatehouse/gatehouse/gateway

go 1.26

require (
	github.com/gatehouse/gatehouse/platform v0.0.0
	github.com/gatehouse/gatehouse/proto v0.0.0
)

replace github.com/gatehouse/gatehouse/proto => ../proto

replace github.com/gatehouse/gatehouse/platform => ../platform
