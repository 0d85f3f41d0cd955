module github.com/gatehouse/gatehouse/tools/stats

go 1.26.7
