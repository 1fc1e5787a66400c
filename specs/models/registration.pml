/*
 * Registration for Alternate Injection: REG-1 to REG-5, for N vCPUs that make CALLS calls of
 * SVSM_APIC_CONFIGURE_EMULATION in all, in every order.
 *
 *   spin -a -DN=2 -DCALLS=2 registration.pml && cc -o pan pan.c && ./pan
 */
#ifndef N
#define N 2
#endif
#ifndef CALLS
#define CALLS 2
#endif

byte count = 1;    /* REG-1: the SVSM has registered for the first component */
byte calls = CALLS;
bool off[N];       /* the vCPU's Alternate Injection bit is clear */
bool was_zero;     /* for REG-3: off is off */

inline align(cpu) {
	if
	:: count == 0 -> off[cpu] = true
	:: else
	fi
}

active proctype vcpus() {
	byte cpu, request;
end:	do
	:: atomic { calls > 0 -> calls--;    /* one call of one vCPU: a whole move */
		do
		:: cpu < N - 1 -> cpu++
		:: break
		od;
		do
		:: request < 2 -> request++
		:: break
		od;
		if
		:: off[cpu]                       /* no APIC protocol here: refused (INV-7) */
		:: else ->
			if
			:: request == 2 && count > 0 -> count++
			:: request == 2 && count == 0     /* REG-3: refused */
			:: request == 1 ->
				if
				:: count > 0 -> count--
				:: else
				fi;
				align(cpu)                /* REG-4: the caller's bit only */
			:: request == 0 -> align(cpu)     /* REG-5 */
			fi
		fi;
		assert(!(was_zero && count > 0));
		was_zero = (count == 0);
		cpu = 0;
		request = 0
	   }
	od
}
