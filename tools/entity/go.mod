module github.com/gatehouse/gatehouse/tools/entity

go 1.26.7
