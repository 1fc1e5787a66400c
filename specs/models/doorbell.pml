/*
 * The #HV doorbell page between a host that posts edge-triggered vectors, each once, and the SVSM of
 * one vCPU that walks from the #HV handler to VMGEXIT (DESC-3, DESC-4, SCHED-1 to SCHED-4).
 *
 *   spin -a -DPOSTS=2 doorbell.pml && cc -DSAFETY -o pan pan.c && ./pan
 *
 * Each access that races with the other side is one step. UNCHECKED leaves out the look for a #HV
 * inside the switch window; HANDLER lets the #HV handler run inside it, as where interrupts are on;
 * LOST_ONLY asks for lost interrupts alone. COUNT prints at the end how many states of the page were seen.
 */
#ifndef POSTS
#define POSTS 2
#endif

/* The page. Vector v is v + 1 in the field; its bit in the IRR is irr[v]. */
byte field;
bool multiple, event, no_further_signal;
bool irr[2];
bool hv;                /* a #HV that the SVSM has not handled */

bool posted[2], posting[2], taken[2];
bool in_guest;
bool came;              /* the handler ran inside the window */

#define WAITS (field || irr[0] || irr[1])
#define POSTING (posting[0] || posting[1])

#ifdef COUNT
c_decl {
	static unsigned char seen_[256];
	static void told_(void) {
		int i, n = 0;
		for (i = 0; i < 256; i++) n += seen_[i];
		printf("doorbell states: %d\n", n);
	}
	static void see_(int state) {
		static int first = 1;
		if (first) { first = 0; atexit(told_); }
		seen_[state] = 1;
	}
}
#define SEE c_code { see_(now.field | now.multiple << 2 | now.event << 3 | \
	now.no_further_signal << 4 | now.irr[0] << 5 | now.irr[1] << 6 | now.hv << 7); }
#else
#define SEE skip
#endif

/* An interrupt is lost: the guest runs, nothing will signal, and one waits that was told (INV-1). */
#define LOST (in_guest && !hv && !no_further_signal && WAITS && !POSTING)

active proctype watch() {
end:	atomic { LOST -> assert(false) }
}

active proctype host() {
	byte v, status_field, occupant;
	bool status_multiple;
end:	do
	:: atomic { !POSTING && v < POSTS && !posted[v] ->          /* any order of the vectors */
		posting[v] = true; goto read_status }
	:: atomic { !POSTING && v + 1 < POSTS -> v++ }
	:: atomic { !POSTING && v > 0 -> v-- }
	od;
read_status:
	atomic { status_field = field; status_multiple = multiple; occupant = 0; SEE };
	if
	:: status_field == 0 && !status_multiple -> goto put_edge
	:: status_field != 0 && !status_multiple -> goto move_occupant
	:: status_multiple -> goto set_irr
	fi;
put_edge:
	atomic {
		if
		:: field == status_field && multiple == status_multiple -> field = v + 1; SEE;
			goto set_event
		:: else -> goto read_status
		fi
	};
move_occupant:
	atomic {
		if
		:: field == status_field && multiple == status_multiple -> occupant = field;
			field = 0; status_field = 0; SEE
		:: else -> goto read_status
		fi
	};
	atomic { irr[occupant - 1] = true; occupant = 0; SEE };
set_irr:
	atomic { irr[v] = true; SEE };
	atomic { multiple = true; SEE };
set_event:
	atomic { event = true; SEE };
	atomic {                                                    /* the signal: DESC-4 */
		if
		:: no_further_signal
		:: else -> hv = true
		fi;
		no_further_signal = true; posted[v] = true; posting[v] = false;
		status_field = 0; status_multiple = false; SEE;
		goto end
	}
}

inline take(v) {
	assert(!taken[v]);            /* each vector once */
	taken[v] = true
}

active proctype svsm() {
	byte status_field, word;
	bool status_multiple, events;
handle_hv:
	atomic { status_field = 0; status_multiple = false; word = 0;
		hv = false; no_further_signal = false; SEE };
	atomic { events = event; event = false; SEE };
	if
	:: !events -> goto test_signal
	:: else
	fi;
	atomic { events = false; status_field = field; status_multiple = multiple };
	if
	:: status_multiple -> goto clear_multiple
	:: status_field && !status_multiple -> goto take_vector
	:: !status_field && !status_multiple -> goto test_signal
	fi;
clear_multiple:
	atomic {
		if
		:: field -> take(field - 1); field = 0
		:: else
		fi;
		multiple = false; SEE
	};
	do
	:: atomic { word < 2 ->
		if
		:: irr[word] -> take(word); irr[word] = false; SEE
		:: else
		fi;
		word++ }
	:: atomic { word == 2 -> word = 0; goto test_signal }
	od;
take_vector:
	atomic {
		if
		:: field == status_field && multiple == status_multiple -> take(field - 1); field = 0; SEE
		:: else                      /* changed: it is left for the next signal */
		fi
	};
test_signal:
	atomic { status_field = 0; status_multiple = false;
		if
		:: no_further_signal -> goto handle_hv
		:: else
		fi };
vmgexit:
#ifdef HANDLER
	do
	:: atomic { hv -> hv = false; no_further_signal = false; came = true; SEE }
	:: break
	od;
#endif
	atomic {
#ifndef UNCHECKED
		if
		:: hv || came -> came = false; goto handle_hv      /* SCHED-3 */
		:: else
		fi;
#endif
#ifndef LOST_ONLY
		assert(!no_further_signal && !hv);                 /* INV-3 */
#endif
		came = false; in_guest = true
	};
end:	do
	:: atomic { in_guest -> in_guest = false; goto handle_hv }    /* a #HV, or a call of the guest */
	od
}
