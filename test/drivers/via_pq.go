// Go's lib/pq: everything is sent without a type; the server's choice decides
// how bytes are sent.

package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/lib/pq"
)

var db *sql.DB

func q(query string, values ...interface{}) {
	rows, err := db.Query(query, values...)
	if err != nil {
		log.Fatalf("%s: %v", query, err)
	}
	for rows.Next() {
	}
	if rows.Err() != nil {
		log.Fatalf("%s: %v", query, rows.Err())
	}
}

func lag(topic string) (lag int) {
	err := db.QueryRow("SELECT sum(lag)::int FROM rocketq.groups WHERE topic = $1 AND consumer_group = $2",
		topic, "since").Scan(&lag)
	if err != nil {
		log.Fatal(err)
	}
	return
}

func main() {
	topic, spare := os.Args[1], os.Args[2]
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	object, _ := json.Marshal(map[string]int{"b": 1})
	var err error
	db, err = sql.Open("postgres", "sslmode=disable")
	if err != nil {
		log.Fatal(err)
	}
	q("SELECT rocketq.produce($1, $2)", topic, "text \u00e9 \\x41")
	q("SELECT rocketq.produce($1, $2)", topic, `{"a": 1}`)
	q("SELECT rocketq.produce($1, $2)", topic, object)
	q("SELECT rocketq.produce($1, $2::bytea)", topic, all)
	q("SELECT rocketq.produce_batch($1, $2)", topic, pq.Array([]string{"one", `two, "quoted"`, `\x33`}))
	q("SELECT rocketq.produce_batch($1, $2::bytea[])", topic, pq.Array([][]byte{{0, 255}, {1, 254}}))
	q(`SELECT rocketq.produce($1, $2, tag => $3, keys => $4, properties => $5, sharding_key => $6,
		queue_id => $7, transactional => $8)`,
		topic, "full", "created", pq.Array([]string{"k1", "k 2"}), `{"p": 1}`, "s", 0, true)
	q("SELECT rocketq.create_group($1, $2, $3)", topic, "since", time.Now().Add(-time.Hour))
	alter := "SELECT rocketq.alter_topic($1, retention_time => $2)"
	q(alter, spare, 7200)
	q(alter, topic, "5 hours")
	q(alter, topic, "3 days")
	before := lag(topic)
	tx, err := db.Begin()
	if err != nil {
		log.Fatal(err)
	}
	rows, err := tx.Query("SELECT body FROM rocketq.consume($1, $2, $3)", topic, "since", 100)
	if err != nil {
		log.Fatal(err)
	}
	taken := 0
	for rows.Next() {
		taken++
	}
	if _, err = tx.Exec("SELECT rocketq.commit_offset($1, $2)", topic, "since"); err != nil {
		log.Fatal(err)
	}
	if err = tx.Commit(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(before, taken, lag(topic))
	if _, err = db.Exec("SELECT rocketq.produce($1, $2)", spare, all); err == nil {
		fmt.Println("taken")
	} else if e, ok := err.(*pq.Error); ok && e.Code.Class() == "22" {
		fmt.Println("refused")
	} else {
		log.Fatal(err)
	}
}
