package chat

import (
	"github.com/gatehouse/gatehouse/platform/entity"
	"github.com/gatehouse/gatehouse/platform/room"
)

// entities builds the rooms of entities that need no other room. `make entity` adds to it.
func entities(d entity.Deps) (room.List, error) {
	var rooms room.List
	return rooms, nil
}
